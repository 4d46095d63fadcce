import type { FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { openImage } from "@img/operations/node";
import type { BlockingPolicy } from "@img/storage-fs";
import { SyncFormatAccess } from "@img/sync";
import type { Images } from "../images.ts";
import type { Case, Sample } from "../measurement.ts";
import { runProgram } from "../run-program.ts";

const blockSize = 4096;
/** QEMU's benchmark has no random order; steps that are large and odd come near to one. */
const step = 64 * 1024 * 1024 + 49 * blockSize;

/** Cached reads of 4 KiB all over a plain image without holes. The time is that of the reads alone, in both. */
export function randomReadCases(images: Images): Case[] {
  const at = (depth: number, count: number, how: Read, name: string, target: number | undefined): Case => ({
    name,
    ...(target === undefined ? {} : { target }),
    ours: () => measureOurs(images, how, count),
    theirs: () => measureTheirs(images, depth, count),
  });
  return [
    at(32, 200_000, { kind: "sync" }, "4 KiB reads, synchronous (QEMU: depth 32)", 1 / 5),
    at(32, 200_000, { kind: "async", depth: 32, blocking: "always" }, "4 KiB reads, depth 32, blocking always", 1 / 2),
    at(32, 200_000, { kind: "async", depth: 32, blocking: "cached" }, "4 KiB reads, depth 32, blocking cached", 1 / 2),
    at(
      32,
      100_000,
      { kind: "async", depth: 32, blocking: "never" },
      "4 KiB reads, depth 32, blocking never",
      undefined,
    ),
    at(1, 50_000, { kind: "async", depth: 1, blocking: "always" }, "4 KiB reads, depth 1, blocking always", undefined),
    at(1, 50_000, { kind: "async", depth: 1, blocking: "cached" }, "4 KiB reads, depth 1, blocking cached", undefined),
    ...[1, 32].map((depth) => ({
      name: `4 KiB reads, synchronous (against ours with promises, depth ${String(depth)})`,
      ours: () => measureOurs(images, { kind: "sync" }, 200_000),
      theirs: () => measureOurs(images, { kind: "async", depth, blocking: "always" }, 200_000),
    })),
  ];
}

type Read =
  { readonly kind: "sync" } | { readonly kind: "async"; readonly depth: number; readonly blocking: BlockingPolicy };

async function measureOurs(images: Images, how: Read, count: number): Promise<Sample> {
  const blocking = how.kind === "sync" ? "always" : how.blocking;
  await using image = await openImage({ path: images.qcow2("full"), format: "qcow2", blocking });
  const began = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  if (how.kind === "sync") {
    readSync(image, count);
  } else {
    await readAsync(image, count, how.depth);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { wall: Number(process.hrtime.bigint() - began) / 1e9, cpu: (user + system) / 1e6 };
}

function readSync(image: FormatAccess, count: number): void {
  const vector = IoVector.single(new Uint8Array(blockSize));
  const synchronous = new SyncFormatAccess(image);
  for (let index = 0; index < count; index++) {
    synchronous.readv(vector, (index * step) % image.size);
  }
}

async function readAsync(image: FormatAccess, count: number, depth: number): Promise<void> {
  let next = 0;
  const reader = async (): Promise<void> => {
    const buffer = new Uint8Array(blockSize);
    while (next < count) {
      await image.read(buffer, (next++ * step) % image.size);
    }
  };
  await Promise.all(Array.from({ length: depth }, reader));
}

function measureTheirs(images: Images, depth: number, count: number): Sample {
  const { output, cpu } = runProgram("qemu-img", [
    ...["bench", "-f", "qcow2", "-c", String(count), "-d", String(depth)],
    ...["-s", String(blockSize), "-S", String(step), "-t", "writeback", images.qcow2("full")],
  ]);
  const seconds = /Run completed in ([\d.]+) seconds/.exec(output)?.[1];
  if (seconds === undefined) {
    throw new Error(`qemu-img bench: no time in ${JSON.stringify(output)}`);
  }
  return { wall: Number(seconds), ...(cpu === undefined ? {} : { cpu }) };
}
