import { readFileSync, writeFileSync } from "node:fs";
import { ModelDisk } from "@img/testing";
import { expect, test } from "vitest";
import type { Random } from "../src/random.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import { describeStep, modelStep, performStep, randomStep } from "../src/written-disk.ts";
import {
  describeShape,
  makeWithTool,
  openFile,
  openWritable,
  randomShape,
  type WrittenShape,
} from "../src/written-image.ts";

const programs = Math.ceil(140 * runScale);
const stepsPerProgram = 150;

/** What the image below holds, made with the real tool. */
function makeBase(shape: WrittenShape, directory: string, random: Random): Uint8Array {
  if (shape.backing === "none") {
    return new Uint8Array(0);
  }
  // shorter or longer than what is above it
  const base = new Uint8Array(512 * random.between(1, Math.ceil(shape.size / 256)));
  for (let at = 0; at < base.length; at += 512) {
    base.fill(random.chance(0.6) ? random.between(1, 255) : 0, at, at + 512);
  }
  writeFileSync(`${directory}/base.raw`, base);
  if (shape.backing === "qcow2") {
    const args = ["convert", "-f", "raw", "-O", "qcow2", ...(random.chance(0.5) ? ["-c"] : [])];
    runTool("qemu-img", [...args, `${directory}/base.raw`, `${directory}/base.qcow2`]);
  }
  return base;
}

/** What the tools do to an image between two of our sessions; the model follows. */
function letToolChange(path: string, shape: WrittenShape, disk: Disk, random: Random): string {
  const { model } = disk;
  const offset = random.between(0, Math.floor((model.size - 1) / 512)) * 512;
  const length = Math.min(512 * random.between(1, 200), model.size - offset);
  const at = `${String(offset)} ${String(length)}`;
  const value = random.between(1, 255);
  // snapshots are for images whose disks are their own; with narrow refcounts the tool fails half-way, and leaves leaks
  const canSnapshot = shape.refcountBits >= 8 && shape.dataFile === "none";
  switch (random.between(0, canSnapshot ? 3 : 2)) {
    case 0:
      runTool("qemu-io", ["-f", "qcow2", "-c", `write -P ${String(value)} ${at}`, path]);
      model.write(new Uint8Array(length).fill(value), offset);
      return `tool writes ${at}`;
    case 1:
      runTool("qemu-io", ["-f", "qcow2", "-c", `write -z ${at}`, path]);
      model.zero(offset, length);
      return `tool zeroes ${at}`;
    case 2:
      return "tool does nothing";
    default: {
      const name = `snapshot ${String(disk.snapshots.size)}`;
      runTool("qemu-img", ["snapshot", "-c", name, path]);
      disk.snapshots.set(name, model.clone());
      return "tool makes a snapshot";
    }
  }
}

/** A disk as it should be, and as it was when its snapshots were made. */
interface Disk {
  readonly model: ModelDisk;
  readonly snapshots: Map<string, ModelDisk>;
}

/** Writing left the snapshots as they were. */
async function checkSnapshots(path: string, disk: Disk, random: Random): Promise<void> {
  for (const [name, model] of disk.snapshots) {
    const image = await openWritable(await openFile(path, random), { writable: false, snapshot: name });
    const whole = new Uint8Array(image.size);
    await image.read(whole, 0);
    await image.close();
    model.check(whole.subarray(0, model.size), 0, name);
  }
}

async function runProgram(index: number): Promise<void> {
  using directory = new TemporaryDirectory();
  const random = randomFor(`write program ${String(index)}`);
  const shape = randomShape(random);
  const base = makeBase(shape, directory.path, random);
  const path = makeWithTool(shape, directory.path);
  const model = new ModelDisk(shape.size);
  model.write(base.subarray(0, shape.size), 0);
  const disk: Disk = { model, snapshots: new Map() };
  const log: string[] = [];
  try {
    let image = await openWritable(await openFile(path, random));
    for (let count = 0; count < stepsPerProgram; count++) {
      if (random.chance(0.06)) {
        await image.close();
        // a clean close leaves no leaks either
        runTool("qemu-img", ["check", "-q", "-f", "qcow2", path]);
        log.push("reopen", letToolChange(path, shape, disk, random));
        image = await openWritable(await openFile(path, random));
        continue;
      }
      const step = randomStep(random, shape, model.size);
      if (step.kind === "resize" && disk.snapshots.size > 0 && shape.compat === "0.10") {
        continue;
      }
      log.push(describeStep(step));
      await performStep(image, step, model);
      modelStep(model, step);
    }
    const whole = new Uint8Array(image.size);
    await image.read(whole, 0);
    model.checkSize(image.size);
    model.check(whole, 0);
    await image.close();
    runTool("qemu-img", ["check", "-f", "qcow2", path]);
    runTool("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", path, directory.file("copy.raw")]);
    model.check(readFileSync(directory.file("copy.raw")), 0, "what the tool reads");
    await checkSnapshots(path, disk, random);
    if (shape.dataFile === "raw") {
      model.check(readFileSync(directory.file("data.raw")).subarray(0, model.size), 0, "the raw data file");
    }
  } catch (error) {
    const text = `program ${String(index)}, seed ${runSeed}: ${describeShape(shape)}\n${log.join("; ")}`;
    throw new Error(`${text}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

test("random programs of writes leave what a plain array of bytes would hold, and images that the tools find clean", async () => {
  for (let index = 0; index < programs; index++) {
    await runProgram(index);
  }
  console.log(`${String(programs)} programs, ${String(programs * stepsPerProgram)} operations, seed ${runSeed}`);
  expect(programs * stepsPerProgram).toBeGreaterThanOrEqual(Math.min(1, runScale) * 20_000);
});
