import { readFileSync, writeFileSync } from "node:fs";
import { MemoryStorage, runSync } from "@img/format-core";
import { checkImage, qcow2 } from "@img/qcow2";
import { DelayStorage, ModelDisk, RecordingStorage, type CrashState } from "@img/testing";
import { IoVector } from "@img/io-vector";
import { expect, test } from "vitest";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import { changedRange, describeStep, modelStep, performStep, randomStep, type WriteStep } from "../src/written-disk.ts";
import { describeShape, makeWithTool, openWritable, randomShape, type WrittenShape } from "../src/written-image.ts";

const programs = Math.ceil(60 * runScale);
const stepsPerProgram = 14;
/** One state in so many is judged by the tool as well. */
const toolEvery = 40;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** What is promised at some moment. */
interface Promised {
  /** The disk as it was when it was synced last. */
  readonly synced: ModelDisk;
  /** What may have changed since. */
  readonly changed: readonly Range[];
}

interface Program {
  readonly shape: WrittenShape;
  readonly log: readonly string[];
  readonly recording: RecordingStorage<MemoryStorage>["recording"];
}

/** A small image with data, a compressed cluster and (where refcounts can count it) a snapshot in it. */
function makeImage(shape: WrittenShape, directory: string): Uint8Array {
  const path = makeWithTool(shape, directory);
  const cluster = shape.clusterSize;
  const commands = [`write -P 7 0 ${String(cluster * 4)}`, `write -c -P 8 ${String(cluster * 4)} ${String(cluster)}`];
  runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((command) => ["-c", command]), path]);
  if (shape.refcountBits >= 8) {
    runTool("qemu-img", ["snapshot", "-c", "before", path]);
  }
  return readFileSync(path);
}

async function record(index: number, lazyRefcounts: boolean): Promise<Program> {
  using directory = new TemporaryDirectory();
  const random = randomFor(`power cut ${String(index)} ${String(lazyRefcounts)}`);
  const drawn = randomShape(random, random.chance(0.25) ? 14 : 11);
  const shape: WrittenShape = {
    ...drawn,
    backing: "none",
    dataFile: "none",
    compat: lazyRefcounts ? "1.1" : drawn.compat,
    lazyRefcounts,
    size: drawn.clusterSize * random.between(8, 120),
  };
  const initial = makeImage(shape, directory.path);
  const memory = new MemoryStorage(initial);
  const storage = new RecordingStorage(memory);
  const delayed = new DelayStorage(storage, { seed: index + 1 });
  const image = await openWritable(random.chance(0.5) ? storage : delayed);
  const first = new Uint8Array(image.size);
  await image.read(first, 0);
  const model = new ModelDisk(first);
  let synced = model.clone();
  let changed: Range[] = [];
  const promise = (): void => {
    storage.recording.mark({ synced, changed: [...changed] } satisfies Promised);
  };
  promise();
  const log: string[] = [];
  const run = async (step: WriteStep): Promise<void> => {
    log.push(describeStep(step));
    const range = changedRange(step, model.size);
    if (range !== undefined) {
      changed.push(range);
      promise();
    }
    await performStep(image, step, model);
    modelStep(model, step);
    if (step.kind === "sync") {
      synced = model.clone();
      changed = [];
      promise();
    }
  };
  for (let count = 0; count < stepsPerProgram; count++) {
    const step = randomStep(random, shape, model.size);
    if (step.kind === "resize" && shape.compat === "0.10") {
      continue;
    }
    await run(step);
  }
  await run({ kind: "sync" });
  await image.close();
  return { shape, log, recording: storage.recording };
}

/** Everything that was synced and not touched since is there. */
async function checkContents(state: CrashState, contents: MemoryStorage): Promise<void> {
  const promised = state.marks.at(-1) as Promised | undefined;
  if (promised === undefined) {
    return;
  }
  const image = await qcow2.open(contents);
  const actual = new Uint8Array(image.size);
  runSync(image.io.read(IoVector.from(actual), 0));
  const expected = promised.synced.clone();
  for (const { start, end } of promised.changed) {
    expected.discardToAny(start, Math.min(end, Math.max(expected.size, start)) - start);
  }
  const both = Math.min(actual.length, expected.size);
  expected.check(actual.subarray(0, both), 0, "what was synced");
}

function explain(program: Program, state: CrashState, what: string, cause?: unknown): Error {
  const text = `${state.description}, seed ${runSeed}: ${describeShape(program.shape)}\n${program.log.join("; ")}\n${what}`;
  return new Error(text, { cause });
}

interface Judged {
  states: number;
  byTool: number;
  leaking: number;
}

async function judge(program: Program, index: number, judged: Judged): Promise<void> {
  using directory = new TemporaryDirectory();
  for (const state of program.recording.states({ seed: index + 1, subsets: 2 })) {
    const [contents] = state.storages;
    if (contents === undefined) {
      throw new Error("a state without a storage");
    }
    judged.states++;
    const result = runSync(checkImage(contents));
    // with lazy refcounts, the dirty bit says that they are out of date
    const dirty = program.shape.lazyRefcounts;
    if (!dirty && (result.corruptions > 0 || result.checkErrors > 0)) {
      throw explain(program, state, JSON.stringify(result.findings.slice(0, 5)));
    }
    judged.leaking += result.leaks > 0 ? 1 : 0;
    try {
      await checkContents(state, contents);
    } catch (error) {
      throw explain(program, state, error instanceof Error ? error.message : String(error), error);
    }
    if (judged.states % toolEvery === 0) {
      judged.byTool++;
      const path = directory.file("state.qcow2");
      writeFileSync(path, contents.toUint8Array());
      const { exitCode, stdout, stderr } = runTool("qemu-img", ["check", "-f", "qcow2", path], { mayFail: true });
      if (exitCode !== 0 && exitCode !== 3 && !dirty) {
        throw explain(program, state, `the tool's check ended with ${String(exitCode)}: ${stdout}${stderr}`);
      }
    }
  }
}

test("after a power cut at any moment an image has leaks at most, and everything that was synced", async () => {
  const judged: Judged = { states: 0, byTool: 0, leaking: 0 };
  for (let index = 0; index < programs; index++) {
    await judge(await record(index, false), index, judged);
  }
  console.log(
    `${String(judged.states)} states of ${String(programs)} programs, ${String(judged.leaking)} with leaks, ${String(judged.byTool)} judged by the tool too, seed ${runSeed}`,
  );
  expect(judged.states).toBeGreaterThan(100 * programs);
  expect(judged.leaking).toBeGreaterThan(0);
});

test("with lazy refcounts, what was synced survives a power cut at any moment", async () => {
  const judged: Judged = { states: 0, byTool: 0, leaking: 0 };
  const count = Math.ceil(programs / 4);
  for (let index = 0; index < count; index++) {
    await judge(await record(index, true), index, judged);
  }
  console.log(`${String(judged.states)} states of ${String(count)} programs with lazy refcounts, seed ${runSeed}`);
  expect(judged.states).toBeGreaterThan(50 * count);
});
