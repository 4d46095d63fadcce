import { readFileSync, writeFileSync } from "node:fs";
import { runAsync, type FormatAccess } from "@img/format-core";
import type { Qcow2Image } from "@img/qcow2";
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

const programs = Math.ceil(60 * runScale);
const stepsPerProgram = 60;

type Change = "create" | "apply" | "delete";

/** The disk, and what it was when each snapshot was made, by the snapshot's name. */
interface Disk {
  model: ModelDisk;
  readonly snapshots: Map<string, ModelDisk>;
  made: number;
}

/** Something to do with a snapshot; `undefined` when there is none to do it with. */
function chooseChange(disk: Disk, random: Random): { readonly change: Change; readonly name: string } | undefined {
  const change = random.pick(["create", "create", "apply", "delete"] as const);
  if (change === "create") {
    return { change, name: `snapshot ${String(++disk.made)}` };
  }
  const names = [...disk.snapshots.keys()];
  return names.length === 0 ? undefined : { change, name: random.pick(names) };
}

function modelChange(disk: Disk, change: Change, name: string): void {
  const snapshot = disk.snapshots.get(name);
  if (change === "create") {
    disk.snapshots.set(name, disk.model.clone());
  } else if (change === "delete") {
    disk.snapshots.delete(name);
  } else if (snapshot !== undefined) {
    disk.model = snapshot.clone();
  }
}

async function ourChange(image: FormatAccess<Qcow2Image>, change: Change, name: string): Promise<void> {
  const { driver, io } = image;
  switch (change) {
    case "create":
      await runAsync(io.exclusive(() => driver.createSnapshot({ name })));
      return;
    case "apply":
      await runAsync(io.exclusive(() => driver.applySnapshot({ name })));
      return;
    case "delete":
      await runAsync(io.exclusive(() => driver.deleteSnapshot({ name })));
  }
}

function toolChange(path: string, change: Change, name: string): void {
  runTool("qemu-img", ["snapshot", { create: "-c", apply: "-a", delete: "-d" }[change], name, path]);
}

/** Every snapshot, read by us and by the tool. */
async function checkSnapshots(path: string, disk: Disk, random: Random): Promise<void> {
  using directory = new TemporaryDirectory();
  for (const [name, model] of disk.snapshots) {
    const image = await openWritable(await openFile(path, random), { writable: false, snapshot: { name } });
    const whole = new Uint8Array(image.size);
    await image.read(whole, 0);
    await image.close();
    model.checkSize(whole.length);
    model.check(whole, 0, name);
    // the tool reads a snapshot as long as the disk is now
    runTool("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", "-l", name, path, directory.file("copy.raw")]);
    model.check(
      readFileSync(directory.file("copy.raw")).subarray(0, Math.min(model.size, disk.model.size)),
      0,
      `${name} by the tool`,
    );
  }
}

function shapeFor(random: Random): WrittenShape {
  const shape = randomShape(random, 16);
  return { ...shape, dataFile: "none", refcountBits: Math.max(shape.refcountBits, 8) };
}

function makeBase(shape: WrittenShape, directory: string, random: Random): Uint8Array {
  const base = new Uint8Array(shape.backing === "none" ? 0 : 512 * random.between(1, Math.ceil(shape.size / 512)));
  base.fill(0xb5);
  writeFileSync(`${directory}/base.raw`, base);
  runTool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", `${directory}/base.raw`, `${directory}/base.qcow2`]);
  return base;
}

async function runProgram(index: number): Promise<void> {
  using directory = new TemporaryDirectory();
  const random = randomFor(`snapshot program ${String(index)}`);
  const shape = shapeFor(random);
  const base = makeBase(shape, directory.path, random);
  const path = makeWithTool(shape, directory.path);
  const model = new ModelDisk(shape.size);
  model.write(base.subarray(0, shape.size), 0);
  const disk: Disk = { model, snapshots: new Map(), made: 0 };
  const log: string[] = [];
  try {
    let image = await openWritable(await openFile(path, random));
    for (let count = 0; count < stepsPerProgram; count++) {
      const chosen = random.chance(0.2) ? chooseChange(disk, random) : undefined;
      if (chosen === undefined) {
        const step = randomStep(random, shape, disk.model.size);
        if (step.kind === "resize" && disk.snapshots.size > 0 && shape.compat === "0.10") {
          continue;
        }
        log.push(describeStep(step));
        await performStep(image, step, disk.model);
        modelStep(disk.model, step);
        continue;
      }
      const { change, name } = chosen;
      const byTool = random.chance(0.3);
      log.push(`${byTool ? "tool " : ""}${change} ${name}`);
      if (byTool) {
        await image.close();
        runTool("qemu-img", ["check", "-q", "-f", "qcow2", path]);
        toolChange(path, change, name);
        image = await openWritable(await openFile(path, random));
      } else {
        await ourChange(image, change, name);
      }
      modelChange(disk, change, name);
    }
    const whole = new Uint8Array(image.size);
    await image.read(whole, 0);
    disk.model.checkSize(image.size);
    disk.model.check(whole, 0);
    await image.close();
    runTool("qemu-img", ["check", "-f", "qcow2", path]);
    runTool("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", path, directory.file("copy.raw")]);
    disk.model.check(readFileSync(directory.file("copy.raw")), 0, "what the tool reads");
    await checkSnapshots(path, disk, random);
  } catch (error) {
    const text = `program ${String(index)}, seed ${runSeed}: ${describeShape(shape)}\n${log.join("; ")}`;
    throw new Error(`${text}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

test("random programs with snapshots leave disks and snapshots as a model has them, and images that the tools find clean", async () => {
  for (let index = 0; index < programs; index++) {
    await runProgram(index);
  }
  console.log(`${String(programs)} programs, ${String(programs * stepsPerProgram)} operations, seed ${runSeed}`);
  expect(programs).toBeGreaterThan(0);
});
