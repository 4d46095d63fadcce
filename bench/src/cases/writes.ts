import { copyFileSync, rmSync } from "node:fs";
import type { FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { bench } from "@img/operations";
import { openImage } from "@img/operations/node";
import { SyncFormatAccess } from "@img/sync";
import type { Images } from "../images.ts";
import type { Case, Sample } from "../measurement.ts";
import { runProgram } from "../run-program.ts";

const blockSize = 4096;

/** How ours are written. QEMU's tool is asynchronous. */
type World = { readonly kind: "sync" } | { readonly kind: "async"; readonly depth: number };

/** Where writes go: to clusters that are there, all over the image; or into an empty image, from its start on. */
type Ground = "overwrites" | "allocating writes";

/** Writes of 4 KiB. The time is that of the writes alone, in both. Each run has an image of its own, made outside of the time. */
export function writeCases(images: Images): Case[] {
  const at = (ground: Ground, world: World, target?: number): Case => {
    const depth = world.kind === "sync" ? 32 : world.depth;
    const how = world.kind === "sync" ? "synchronous (QEMU: depth 32)" : `depth ${String(depth)}`;
    const count = ground === "overwrites" && depth > 1 ? 100_000 : 30_000;
    return {
      name: `4 KiB ${ground}, ${how}`,
      ...(target === undefined ? {} : { target }),
      ours: () => measureOurs(prepare(images, ground), world, count, stepOf(ground)),
      theirs: () => measureTheirs(prepare(images, ground), depth, count, stepOf(ground)),
    };
  };
  return [
    at("overwrites", { kind: "sync" }, 1 / 5),
    at("overwrites", { kind: "async", depth: 32 }, 1 / 2),
    at("overwrites", { kind: "async", depth: 1 }),
    at("allocating writes", { kind: "sync" }, 1 / 3),
    at("allocating writes", { kind: "async", depth: 32 }, 1 / 3),
    at("allocating writes", { kind: "async", depth: 1 }),
    ...(["overwrites", "allocating writes"] as const).flatMap((ground) =>
      [1, 32].map((depth) => ofOurs(images, ground, depth)),
    ),
  ];
}

/** Without await, against the same with promises. */
function ofOurs(images: Images, ground: Ground, depth: number): Case {
  const run = (world: World): Promise<Sample> => measureOurs(prepare(images, ground), world, 30_000, stepOf(ground));
  return {
    name: `4 KiB ${ground}, synchronous (against ours with promises, depth ${String(depth)})`,
    ours: () => run({ kind: "sync" }),
    theirs: () => run({ kind: "async", depth }),
  };
}

/** Overwrites go far, as random ones would; allocating writes put one block into each cluster of 64 KiB. */
function stepOf(ground: Ground): number {
  return ground === "overwrites" ? 64 * 1024 * 1024 + 49 * blockSize : 64 * 1024;
}

function prepare(images: Images, ground: Ground): string {
  const path = images.path("written.qcow2");
  rmSync(path, { force: true });
  if (ground === "overwrites") {
    copyFileSync(images.qcow2("full"), path);
  } else {
    runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, "2G"]);
  }
  return path;
}

async function measureOurs(path: string, world: World, count: number, step: number): Promise<Sample> {
  // no flush is timed, and waiting for the disk at the end would only take long
  await using image = await openImage({ path, format: "qcow2", writable: true, durable: false });
  const cpu = process.cpuUsage();
  const wall =
    world.kind === "sync"
      ? writeSync(image, count, step)
      : (await bench(image, { write: true, count, depth: world.depth, length: blockSize, step })).seconds;
  const { user, system } = process.cpuUsage(cpu);
  return { wall, cpu: (user + system) / 1e6 };
}

function writeSync(image: FormatAccess, count: number, step: number): number {
  const vector = IoVector.single(new Uint8Array(blockSize));
  const synchronous = new SyncFormatAccess(image);
  const began = performance.now();
  for (let index = 0; index < count; index++) {
    synchronous.writev(vector, (index * step) % image.size);
  }
  return (performance.now() - began) / 1000;
}

function measureTheirs(path: string, depth: number, count: number, step: number): Sample {
  const { output, cpu } = runProgram("qemu-img", [
    ...["bench", "-w", "-f", "qcow2", "-c", String(count), "-d", String(depth)],
    ...["-s", String(blockSize), "-S", String(step), "-t", "writeback", path],
  ]);
  const seconds = /Run completed in ([\d.]+) seconds/.exec(output)?.[1];
  if (seconds === undefined) {
    throw new Error(`qemu-img bench: no time in ${JSON.stringify(output)}`);
  }
  return { wall: Number(seconds), ...(cpu === undefined ? {} : { cpu }) };
}
