import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { FormatAccess } from "@img/format-core";
import type { Qcow2Image } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";
import { ModelDisk } from "@img/testing";
import { expect, test } from "vitest";
import { inWorld, type World } from "../src/in-world.ts";
import type { Random } from "../src/random.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import { digest, Transcript } from "../src/transcript.ts";
import { describeStep, modelStep, performStep, randomStep } from "../src/written-disk.ts";
import { describeShape, makeWithTool, openWritable, randomShape, type WrittenShape } from "../src/written-image.ts";

const programs = Math.ceil(25 * runScale);
const stepsPerProgram = 100;

/** What an image's files hold, by name. */
type Files = ReadonlyMap<string, Uint8Array>;

function filesIn({ path }: TemporaryDirectory): Files {
  return new Map(readdirSync(path).map((name) => [name, readFileSync(`${path}/${name}`)]));
}

function restore(directory: TemporaryDirectory, files: Files): void {
  for (const name of readdirSync(directory.path)) {
    rmSync(directory.file(name));
  }
  for (const [name, bytes] of files) {
    writeFileSync(directory.file(name), bytes);
  }
}

/** Makes an image, and the one below, with the real tool. Returns what the disk holds. */
function makeImage(shape: WrittenShape, directory: TemporaryDirectory, random: Random): ModelDisk {
  const model = new ModelDisk(shape.size);
  if (shape.backing !== "none") {
    const base = new Uint8Array(512 * random.between(1, Math.ceil(shape.size / 256)));
    for (let at = 0; at < base.length; at += 512) {
      base.fill(random.chance(0.6) ? random.between(1, 255) : 0, at, at + 512);
    }
    writeFileSync(directory.file("base.raw"), base);
    runTool("qemu-img", [
      ...["convert", "-f", "raw", "-O", "qcow2"],
      ...[directory.file("base.raw"), directory.file("base.qcow2")],
    ]);
    model.write(base.subarray(0, shape.size), 0);
  }
  makeWithTool(shape, directory.path);
  return model;
}

/** Runs a program in one world, and returns what was asked and answered, and what the files hold in the end. */
async function runIn(
  world: World,
  path: string,
  shape: WrittenShape,
  model: ModelDisk,
  random: Random,
): Promise<readonly string[]> {
  const transcript = new Transcript();
  const open = async (): Promise<FormatAccess<Qcow2Image>> => {
    // in the asynchronous world, files have to be waited for
    const blocking = world === "sync" ? "always" : "never";
    const file = await FileStorage.open(path, { writable: true, lock: "off", blocking });
    return inWorld(world, await openWritable(file), transcript);
  };
  let image = await open();
  for (let count = 0; count < stepsPerProgram; count++) {
    if (random.chance(0.05)) {
      await image.close();
      image = await open();
      continue;
    }
    const step = randomStep(random, shape, model.size);
    transcript.add(describeStep(step));
    await performStep(image, step, model);
    modelStep(model, step);
    for (let at = 0; at < image.size;) {
      const { length } = await image.getMapping(at, image.size - at);
      at += count % 10 === 0 ? length : image.size;
    }
  }
  const whole = new Uint8Array(image.size);
  await image.read(whole, 0);
  model.checkSize(image.size);
  model.check(whole, 0);
  await image.close();
  return transcript.lines;
}

async function compareWorlds(index: number): Promise<void> {
  using directory = new TemporaryDirectory();
  const preparing = randomFor(`an image for both worlds ${String(index)}`);
  const shape = randomShape(preparing, 16);
  const start = makeImage(shape, directory, preparing);
  const path = directory.file("image.qcow2");
  const before = filesIn(directory);
  const transcripts: Record<World, readonly string[]> = { async: [], sync: [] };
  const after: Record<World, readonly string[]> = { async: [], sync: [] };
  for (const world of ["async", "sync"] as const) {
    restore(directory, before);
    const random = randomFor(`a program for both worlds ${String(index)}`);
    transcripts[world] = await runIn(world, path, shape, start.clone(), random);
    after[world] = [...filesIn(directory)].map(([name, bytes]) => `${name} holds ${digest(bytes)}`);
  }
  const what = `program ${String(index)}, seed ${runSeed}: ${describeShape(shape)}`;
  expect(transcripts.sync, what).toEqual(transcripts.async);
  expect(transcripts.sync.length, what).toBeGreaterThan(stepsPerProgram);
  expect(after.sync, what).toEqual(after.async);
  runTool("qemu-img", ["check", "-q", "-f", "qcow2", path]);
}

test("the same programs get the same answers with and without await, and leave the same files", async () => {
  for (let index = 0; index < programs; index++) {
    await compareWorlds(index);
  }
});
