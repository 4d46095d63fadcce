import assert, { AssertionError } from "node:assert/strict";
import { isImgError, type Io } from "@img/format-core";
import { assertBytesOfEither } from "../../assert/assert-bytes.ts";
import { describeError } from "../../assert/expect-failure.ts";
import { ModelDisk } from "../../model/model-disk.ts";
import { SeededRandom } from "../../random/seeded-random.ts";
import { FaultPlan, type FaultRule } from "../../storages/fault-plan.ts";
import { FaultStorage } from "../../storages/fault-storage.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import type { FormatSubject } from "../format-subject.ts";

/** More storage calls than any of these operations should take. */
const mostCalls = 400;

/** Calls whose failure must be heard of; advice and questions may fail silently. */
const audible = ["read", "write", "writeZeroes", "resize", "flush", "sync"] as const;

/** A change that is tried while storages fail. */
interface Change {
  readonly name: string;
  readonly when?: (manifest: FormatManifest) => boolean;
  run(subject: FormatSubject): Io<unknown>;
}

const changes: readonly Change[] = [
  { name: "overwriting data", run: (subject) => subject.write(patternOf(subject, 3000), subject.blockSize / 4) },
  {
    name: "writing into blocks that are zero",
    run: (subject) => subject.write(patternOf(subject, 1000), subject.blockSize + 100),
  },
  {
    name: "writing several blocks",
    run: (subject) => subject.write(patternOf(subject, 3 * subject.blockSize), subject.blockSize - 100),
  },
  { name: "zeroing", run: (subject) => subject.writeZeroes(2 * subject.blockSize - 100, subject.blockSize + 200) },
  {
    name: "discarding to zero",
    run: (subject) => subject.discardToZero(subject.blockSize / 2, 5 * subject.blockSize),
  },
  {
    name: "growing",
    when: (manifest) => manifest.grows === true,
    run: (subject) => subject.resize(subject.model.size + 2 * subject.blockSize, "zero"),
  },
  {
    name: "shrinking",
    when: (manifest) => manifest.shrinks === true,
    run: (subject) => subject.resize(3 * subject.blockSize),
  },
];

/** Storages that fail: the error is heard of, and nothing but what was being changed is in doubt. */
export const faultCases: readonly FormatCase[] = [
  {
    name: "says so when a storage fails while it is opened, and can be opened afterwards",
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      yield* forEachFault(subject, function* (plan, rule) {
        plan.add(rule);
        const opened = yield* attempt(plan, () => subject.open({ files: subject.files, layer: failing(plan) }));
        plan.clear();
        if (opened) {
          yield* subject.close();
        }
        yield* subject.open({ files: subject.files });
        yield* subject.check();
        yield* subject.close();
      });
    },
  },
  {
    name: "says so when a storage fails while it is read, and reads on afterwards",
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      yield* forEachFault(subject, function* (plan, rule) {
        yield* subject.open({ files: subject.files, writable: false, layer: failing(plan) });
        plan.add(rule);
        yield* attempt(plan, () => subject.check());
        plan.clear();
        yield* subject.check();
        yield* subject.close();
      });
    },
  },
  ...changes.flatMap((change) =>
    [undefined, 1].map((torn): FormatCase => ({
      name: `has the old or the new bytes when a storage fails while ${change.name}${torn === undefined ? "" : ", tearing a write"}`,
      when: (manifest) => ifWritable(manifest) && (change.when?.(manifest) ?? true),
      variants: "plain",
      opens: "itself",
      *run(subject: FormatSubject): Io<void> {
        const before = subject.model.clone();
        const after = yield* outcomeOf(subject, change);
        yield* forEachFault(
          subject,
          (plan, rule) => changeAndFail(subject, change, { before, after, plan, rule }),
          torn === undefined ? {} : { torn },
        );
      },
    })),
  ),
  {
    name: "says so when the medium is full, keeps what it has, and goes on when there is space again",
    when: ifWritable,
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      for (const spaceLeft of [0, 512, subject.blockSize, 2 * subject.blockSize + 512]) {
        yield* fillMedium(subject, spaceLeft);
      }
    },
  },
];

function failing(plan: FaultPlan): (storage: FormatSubject["memories"][number]) => FaultStorage {
  return (storage) => new FaultStorage(storage, plan);
}

/** Runs `body` with the first storage call failing, then with the second one, until none fails any more. Gives how many failed. */
function* forEachFault(
  subject: FormatSubject,
  body: (plan: FaultPlan, rule: FaultRule) => Io<void>,
  rule: FaultRule = {},
): Io<number> {
  for (let nth = 1; nth <= mostCalls; nth++) {
    const plan = new FaultPlan();
    yield* body(plan, { ...rule, nth });
    if (plan.faults.length === 0) {
      return nth - 1;
    }
  }
  assert.fail(`${String(subject.access)} calls its storages more than ${String(mostCalls)} times`);
}

/** Whether it succeeded. When it fails, a fault must be the reason, and when a fault was met that matters, it must fail. */
function* attempt(plan: FaultPlan, act: () => Io<unknown>): Io<boolean> {
  const met = plan.faults.length;
  try {
    yield* act();
  } catch (error) {
    if (error instanceof AssertionError) {
      throw error;
    }
    assert.ok(plan.faults.length > met, `failed although no storage did: ${describeError(error)}`);
    assert.ok(isImgError(error, "EIO"), `failed with ${describeError(error)}, expected EIO`);
    return false;
  }
  const unheard = plan.faults.slice(met).find(({ call }) => (audible as readonly string[]).includes(call.method));
  assert.ok(unheard === undefined, `nobody heard that ${String(unheard?.call.method)} failed`);
  return true;
}

/** What the disk holds after a change that nothing disturbs. */
function* outcomeOf(subject: FormatSubject, change: Change): Io<ModelDisk> {
  const before = subject.model.clone();
  yield* subject.open({ files: subject.files });
  yield* change.run(subject);
  yield* subject.check();
  yield* subject.close();
  const after = subject.model;
  subject.model = before;
  return after;
}

interface FailingChange {
  readonly before: ModelDisk;
  readonly after: ModelDisk;
  readonly plan: FaultPlan;
  readonly rule: FaultRule;
}

function* changeAndFail(subject: FormatSubject, change: Change, options: FailingChange): Io<void> {
  const { before, after, plan, rule } = options;
  subject.model = before.clone();
  yield* subject.open({ files: subject.files, layer: failing(plan) });
  plan.add(rule);
  const progress = { changed: false };
  const done = yield* attempt(plan, function* () {
    yield* change.run(subject);
    progress.changed = true;
    yield* subject.flush();
    yield* subject.sync();
  });
  plan.clear();
  if (!done) {
    yield* checkEither(subject, before, after);
    yield* checkContents(subject, before, after);
    subject.model = before.clone();
    if (!progress.changed) {
      yield* change.run(subject);
    }
  }
  subject.model = after.clone();
  yield* subject.check();
  yield* subject.reopen();
  yield* subject.check();
  yield* subject.close();
}

/** Asserts that the disk has one of two sizes, and everywhere the bytes of one or the other. */
function* checkEither(subject: FormatSubject, before: ModelDisk, after: ModelDisk): Io<void> {
  const { size } = subject.access;
  assert.ok(size === before.size || size === after.size, `the size is ${String(size)}`);
  const length = Math.max(before.size, after.size);
  const found = yield* subject.read(0, length);
  assertBytesOfEither(found, [before.read(0, length), after.read(0, length)], "the disk after a failure");
}

/** {@link checkEither} for what a reader of the storages would see now, while the image is still open. */
function* checkContents(subject: FormatSubject, before: ModelDisk, after: ModelDisk): Io<void> {
  if (subject.manifest.crashSafe === false) {
    return;
  }
  const { access, memories } = subject;
  yield* subject.open({ files: subject.contents(), writable: false });
  yield* checkEither(subject, before, after);
  yield* subject.close();
  subject.adopt(access);
  subject.memories = memories;
}

/** Writes all over the disk while the medium has room for a little only, and again when there is room. */
function* fillMedium(subject: FormatSubject, spaceLeft: number): Io<void> {
  const before = new ModelDisk(subject.model.read());
  const after = before.clone();
  const storages: FaultStorage[] = [];
  const layer = (storage: FormatSubject["memories"][number]): FaultStorage => {
    const made = new FaultStorage(storage, [], { spaceLeft });
    storages.push(made);
    return made;
  };
  yield* subject.open({ files: subject.files, layer });
  const bytes = patternOf(subject, subject.blockSize);
  for (let at = 100; at + bytes.length <= before.size; at += bytes.length) {
    after.write(bytes, at);
    if (yield* succeedsWithSpace(subject.writeUnseen(bytes, at))) {
      before.write(bytes, at);
    }
  }
  yield* checkEither(subject, before, after);
  yield* succeedsWithSpace(subject.flush());
  yield* checkEither(subject, before, after);
  for (const storage of storages) {
    storage.spaceLeft = Infinity;
  }
  for (let at = 100; at + bytes.length <= before.size; at += bytes.length) {
    yield* subject.writeUnseen(bytes, at);
  }
  const start = subject.model;
  subject.model = after;
  yield* subject.check();
  yield* subject.reopen();
  yield* subject.check();
  yield* subject.close();
  subject.model = start;
}

function* succeedsWithSpace(io: Io<void>): Io<boolean> {
  try {
    yield* io;
    return true;
  } catch (error) {
    if (isImgError(error, "ENOSPC") || isImgError(error, "ERR_IMG_NO_SPACE")) {
      return false;
    }
    throw error;
  }
}

/** The same bytes whenever it is asked for: a change that is tried again is the same change. */
function patternOf(subject: FormatSubject, length: number): Uint8Array {
  return new SeededRandom((subject.manifest.seed ?? 1) + length).bytes(length);
}
