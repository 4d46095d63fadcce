import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { assertBytesOfEither } from "../../assert/assert-bytes.ts";
import type { ModelDisk } from "../../model/model-disk.ts";
import { Recording, type CrashState } from "../../recording/recording.ts";
import { RecordingStorage } from "../../storages/recording-storage.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** How far a program had come when the power was cut. */
interface Progress {
  /** Steps that were begun. */
  readonly begun: number;
  /** Steps that were done, flushed and synced. */
  readonly synced: number;
}

type Step = (subject: FormatSubject) => Io<void>;

/** Programs: each step is followed, with luck, by flush and sync. */
const programs: Readonly<Record<string, readonly Step[]>> = {
  "writing into data": [
    (subject) => subject.write(subject.random.bytes(3000), 100),
    (subject) => subject.write(subject.random.bytes(subject.blockSize), 2 * subject.blockSize - 700),
    (subject) => subject.write(subject.random.bytes(100), 5 * subject.blockSize),
  ],
  "writing into blocks that are zero": [
    (subject) => subject.write(subject.random.bytes(3000), subject.blockSize + 700),
    (subject) => subject.write(subject.random.bytes(subject.blockSize), 3 * subject.blockSize + 700),
    (subject) => subject.write(subject.random.bytes(100), subject.blockSize),
    (subject) => subject.write(subject.random.bytes(2 * subject.blockSize), 3 * subject.blockSize),
  ],
  "zeroing and discarding, and writing there again": [
    (subject) => subject.writeZeroes(0, 2 * subject.blockSize + 100),
    (subject) => subject.discardToZero(5 * subject.blockSize, subject.blockSize),
    (subject) => subject.write(subject.random.bytes(subject.blockSize), subject.blockSize / 2),
    (subject) => subject.write(subject.random.bytes(2 * subject.blockSize), 3 * subject.blockSize),
    (subject) => subject.discardToZero(0, 3 * subject.blockSize),
    (subject) => subject.write(subject.random.bytes(subject.blockSize), 5 * subject.blockSize),
    (subject) => subject.write(subject.random.bytes(100), subject.blockSize + 5),
  ],
};

/** Power cuts: at every moment, in every order that a disk may have written in, what was synced is there. */
export const crashCases: readonly FormatCase[] = Object.entries(programs).map(([name, steps]): FormatCase => ({
  name: `loses nothing that was synced when the power is cut while ${name}`,
  when: (manifest) => ifWritable(manifest) && manifest.crashSafe !== false,
  variants: "plain",
  opens: "itself",
  *run(subject: FormatSubject): Io<void> {
    for (const syncEvery of [1, 2]) {
      const start = subject.model;
      subject.model = start.clone();
      const recording = new Recording();
      const models = yield* record(subject, steps, { recording, syncEvery });
      const disks = models.map((model) => model.read());
      for (const state of recording.states({ seed: subject.manifest.seed ?? 1 })) {
        yield* checkState(subject, state, disks);
      }
      subject.model = start;
    }
  },
}));

/** Runs a program on recorded storages, and gives the disk before the first step and after each one. */
function* record(
  subject: FormatSubject,
  steps: readonly Step[],
  { recording, syncEvery }: { readonly recording: Recording; readonly syncEvery: number },
): Io<ModelDisk[]> {
  yield* subject.open({ files: subject.files, layer: (storage) => new RecordingStorage(storage, { recording }) });
  const models = [subject.model.clone()];
  let synced = 0;
  for (const [index, step] of steps.entries()) {
    recording.mark({ begun: index + 1, synced } satisfies Progress);
    yield* step(subject);
    models.push(subject.model.clone());
    if ((index + 1) % syncEvery === 0) {
      yield* subject.flush();
      yield* subject.sync();
      synced = index + 1;
      recording.mark({ begun: index + 1, synced } satisfies Progress);
    }
  }
  yield* subject.close();
  return models;
}

function* checkState(subject: FormatSubject, state: CrashState, disks: readonly Uint8Array[]): Io<void> {
  const { begun, synced } = (state.marks.at(-1) ?? { begun: 0, synced: 0 }) as Progress;
  const possible = disks.slice(synced, begun + 1);
  try {
    yield* subject.open({ memories: state.storages, writable: false });
    const [first] = possible;
    assert.ok(first !== undefined);
    assert.equal(subject.access.size, first.length);
    assertBytesOfEither(yield* subject.read(0, first.length), possible, "the disk");
    yield* subject.close();
  } catch (error) {
    const reached = `${String(begun)} steps begun, ${String(synced)} synced`;
    throw new assert.AssertionError({
      message: `${state.description} (${reached}): ${error instanceof Error ? error.message : String(error)}`,
      actual: error,
      operator: "checkState",
    });
  }
}
