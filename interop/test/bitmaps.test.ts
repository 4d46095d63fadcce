import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import type { FormatAccess } from "@img/format-core";
import {
  addBitmap,
  clearBitmap,
  dirtyExtents,
  disableBitmap,
  enableBitmap,
  listBitmaps,
  mergeBitmap,
  removeBitmap,
} from "@img/operations";
import type { DirtyExtent, Qcow2Image } from "@img/qcow2";
import { expect, test } from "vitest";
import type { Random } from "../src/random.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import {
  describeShape,
  makeWithTool,
  openFile,
  openWritable,
  randomShape,
  type WrittenShape,
} from "../src/written-image.ts";

const programs = Math.ceil(18 * runScale);
const roundsPerProgram = 10;

type Step =
  | { readonly kind: "write" | "compress" | "zero" | "discard"; readonly offset: number; readonly length: number }
  | { readonly kind: "resize"; readonly size: number }
  | { readonly kind: "add"; readonly name: string; readonly granularity: number; readonly enabled: boolean }
  | { readonly kind: "remove" | "clear" | "enable" | "disable"; readonly name: string }
  | { readonly kind: "merge"; readonly name: string; readonly from: string };

/** What both disks have, as far as it decides what can be done with them. */
interface Disk {
  size: number;
  readonly names: string[];
  made: number;
}

function randomStep(random: Random, shape: WrittenShape, disk: Disk): Step {
  const kind = random.pick([
    "write",
    "write",
    "write",
    "write",
    "compress",
    "zero",
    "discard",
    "resize",
    "add",
    "add",
    "merge",
    "merge",
    "clear",
    "enable",
    "disable",
    "remove",
  ] as const);
  const offset = random.between(0, disk.size - 1);
  const length = random.between(1, Math.min(disk.size - offset, random.chance(0.5) ? shape.clusterSize * 4 : 5000));
  switch (kind) {
    case "write":
    case "zero":
    case "discard":
      return { kind, offset, length };
    case "compress": {
      const start = offset - (offset % shape.clusterSize);
      const rest = Math.min(shape.clusterSize, disk.size - start);
      return { kind: shape.dataFile === "none" ? kind : "write", offset: start, length: rest };
    }
    case "resize": {
      const change = 512 * random.between(1, 8000) * (random.chance(0.5) ? 1 : -1);
      return { kind, size: Math.max(512, disk.size + change) };
    }
    default: {
      const [name, from] = [random.pick([...disk.names, ""]), random.pick([...disk.names, ""])];
      if (name === "" || from === "" || kind === "add") {
        const granularity = 2 ** random.between(9, 18);
        return { kind: "add", name: `b${String(++disk.made)}`, granularity, enabled: random.chance(0.7) };
      }
      return kind === "merge" ? { kind, name, from } : { kind, name };
    }
  }
}

/** Runs steps with the tools: neighbours that qemu-io can do at once, in one call. */
function runSteps(path: string, steps: readonly Step[]): void {
  const commands: string[] = [];
  const flush = (): void => {
    if (commands.length > 0) {
      runTool("qemu-io", ["-f", "qcow2", "-d", "unmap", ...commands.splice(0).flatMap((each) => ["-c", each]), path]);
    }
  };
  for (const step of steps) {
    switch (step.kind) {
      case "write":
      case "compress":
      case "zero":
      case "discard": {
        // the tool compresses only where nothing is yet; its bits are those of any write
        const command = { write: "write -q", compress: "write -q", zero: "write -qz", discard: "discard -q" }[
          step.kind
        ];
        commands.push(`${command} ${String(step.offset)} ${String(step.length)}`);
        continue;
      }
      case "resize":
        flush();
        runTool("qemu-img", ["resize", "-q", "--shrink", "-f", "qcow2", path, String(step.size)]);
        continue;
      case "add":
        flush();
        runTool("qemu-img", [
          ...["bitmap", "-f", "qcow2", "--add", "-g", String(step.granularity)],
          ...(step.enabled ? [] : ["--disable"]),
          ...[path, step.name],
        ]);
        continue;
      case "merge":
        flush();
        runTool("qemu-img", ["bitmap", "-f", "qcow2", "--merge", step.from, path, step.name]);
        continue;
      default:
        flush();
        runTool("qemu-img", ["bitmap", "-f", "qcow2", `--${step.kind}`, path, step.name]);
    }
  }
  flush();
}

async function performStep(image: FormatAccess<Qcow2Image>, step: Step): Promise<void> {
  switch (step.kind) {
    case "write": {
      await image.write(new Uint8Array(step.length).fill(0xcd), step.offset);
      return;
    }
    case "compress": {
      await image.writeCompressed(new Uint8Array(step.length).fill(0xcd), step.offset);
      return;
    }
    case "zero": {
      await image.writeZeroes(step.offset, step.length);
      return;
    }
    case "discard": {
      await image.discardToAny(step.offset, step.length);
      return;
    }
    case "resize": {
      await image.resize(step.size);
      return;
    }
    case "add": {
      await addBitmap(image, step);
      return;
    }
    case "remove": {
      await removeBitmap(image, step.name);
      return;
    }
    case "clear": {
      await clearBitmap(image, step.name);
      return;
    }
    case "enable": {
      await enableBitmap(image, step.name);
      return;
    }
    case "disable": {
      await disableBitmap(image, step.name);
      return;
    }
    case "merge": {
      await mergeBitmap(image, step.name, { name: step.from });
      return;
    }
  }
}

function modelStep(disk: Disk, step: Step): void {
  if (step.kind === "resize") {
    disk.size = step.size;
  } else if (step.kind === "add") {
    disk.names.push(step.name);
  } else if (step.kind === "remove") {
    disk.names.splice(disk.names.indexOf(step.name), 1);
  }
}

async function allExtents(image: FormatAccess, name: string): Promise<DirtyExtent[]> {
  const extents: DirtyExtent[] = [];
  for await (const extent of dirtyExtents(image, name)) {
    extents.push(extent);
  }
  return extents;
}

/** What an image that is open says of its bitmaps. */
async function contents(image: FormatAccess): Promise<unknown[]> {
  const bitmaps = [];
  for (const { name, granularity, auto, inUse } of listBitmaps(image)) {
    bitmaps.push({ name, granularity, auto, inUse, extents: await allExtents(image, name) });
  }
  return bitmaps;
}

/** What nbdinfo says of a bitmap that qemu-nbd exports. */
function contentsByTool(directory: string, path: string, name: string): DirtyExtent[] {
  const context = `qemu:dirty-bitmap:${name}`;
  const script = `qemu-nbd -r -f qcow2 -B ${name} -k ${directory}/nbd.sock ${path} & while [ ! -S ${directory}/nbd.sock ]; do sleep 0.01; done; nbdinfo --json --map=${context} "nbd+unix:///?socket=${directory}/nbd.sock"; wait`;
  const child = spawnSync("bash", ["-c", script], { encoding: "utf8", timeout: 300_000 });
  const extents = JSON.parse(child.stdout) as {
    readonly offset: number;
    readonly length: number;
    readonly type: number;
  }[];
  return extents.map(({ offset, length, type }) => ({ offset, length, dirty: type === 1 }));
}

async function readFileContents(path: string): Promise<unknown[]> {
  const image = await openWritable(await openFile(path, randomFor("reading")), { writable: false });
  try {
    return await contents(image);
  } finally {
    await image.close();
  }
}

async function runProgram(index: number): Promise<void> {
  using directory = new TemporaryDirectory();
  const random = randomFor(`bitmap program ${String(index)}`);
  const any = randomShape(random, 16);
  const shape: WrittenShape = { ...any, compat: "1.1", backing: "none", dataFile: "none" };
  const path = makeWithTool(shape, directory.path);
  const theirs = directory.file("theirs.qcow2");
  copyFileSync(path, theirs);
  const disk: Disk = { size: shape.size, names: [], made: 0 };
  const log: string[] = [];
  try {
    for (let round = 0; round < roundsPerProgram; round++) {
      const steps = Array.from({ length: random.between(1, 8) }, () => {
        const step = randomStep(random, shape, disk);
        modelStep(disk, step);
        return step;
      });
      log.push(...steps.map((step) => JSON.stringify(step)), "—");
      runSteps(theirs, steps);
      if (random.chance(0.2)) {
        log.push("(by the tools)");
        runSteps(path, steps);
      } else {
        const image = await openWritable(await openFile(path, random));
        for (const step of steps) {
          await performStep(image, step);
        }
        // also what isn't saved yet
        expect(await contents(image)).toEqual(await readFileContents(theirs));
        await image.close();
      }
      expect(await readFileContents(path)).toEqual(await readFileContents(theirs));
    }
    runTool("qemu-img", ["check", "-f", "qcow2", path]);
    const [name] = disk.names;
    if (name !== undefined) {
      const image = await openWritable(await openFile(path, random), { writable: false });
      expect(contentsByTool(directory.path, path, name)).toEqual(await allExtents(image, name));
      await image.close();
    }
  } catch (error) {
    throw new Error(`program ${String(index)}, seed ${runSeed}, ${describeShape(shape)}\n${log.join("\n")}`, {
      cause: error,
    });
  }
}

test("bitmaps hold what QEMU's hold after the same programs, whoever writes", async () => {
  for (let index = 0; index < programs; index++) {
    await runProgram(index);
  }
});
