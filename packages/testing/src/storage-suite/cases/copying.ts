import assert from "node:assert/strict";
import { alignUp, all, isImgError, MemoryStorage, type Io } from "@img/format-core";
import { ModelDisk } from "../../model/model-disk.ts";
import { callCopyFrom, copyAll, copyInto, type CopyRange } from "../copy-into.ts";
import { InvertedStorage } from "../inverted-storage.ts";
import { ifCopies, ifGrows, type StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const ifCopiesAndGrows = (manifest: StorageManifest): boolean => ifCopies(manifest) && ifGrows(manifest);

/** The second storage, which is copied from. */
function sourceOf({ source }: StorageSubject): StorageSubject {
  assert.ok(source !== undefined);
  return source;
}

/** Gives the storage data of its own, so that it doesn't hold what its source does. */
function fill(subject: StorageSubject): Io<void> {
  return subject.write(subject.random.bytes(40 * subject.grains.request), 0);
}

/** Ranges inside of a storage, some as unaligned as its limits allow. */
function ranges({ grains, storage, model }: StorageSubject): readonly CopyRange[] {
  const { request } = grains;
  const unit = storage.limits.request;
  return [
    { from: 3 * request, offset: 3 * request, length: 5 * request },
    { from: unit, offset: 7 * unit, length: alignUp(1000, unit) },
    { from: 2 * request + unit, offset: 20 * request, length: 9 * request },
    { from: 30 * request, offset: 0, length: unit },
    { from: 0, offset: 0, length: model.size - (model.size % unit) },
  ];
}

/** `copyFrom`: what it says that it has copied is there, and nothing else has changed. Limits of requests hold for its ranges. */
export const copyingCases: readonly StorageCase[] = [
  {
    name: "copies any range of another storage to any place, and leaves that one as it is",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      for (const range of ranges(subject)) {
        yield* fill(subject);
        yield* copyAll(subject, source, range);
        yield* subject.check();
        yield* source.check();
      }
    },
    *reopened(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  },
  {
    name: "copies its own bytes to another place of its own",
    when: ifCopies,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      yield* copyAll(subject, subject, { from: 2 * request, offset: 20 * request, length: 18 * request });
      yield* subject.check();
      yield* copyAll(subject, subject, { from: 25 * request, offset: 0, length: 3 * request });
      yield* subject.check();
    },
  },
  {
    name: "copies overlapping ranges of its own as if it had read them before, or refuses to",
    when: ifCopies,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      for (const [from, offset] of [
        [4, 7],
        [7, 4],
      ] as const) {
        const range = { from: from * request, offset: offset * request, length: 9 * request };
        yield* checkOverlap(subject, range);
      }
    },
  },
  {
    name: "copies the holes of another storage as zeroes",
    when: ifCopiesAndGrows,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      const { size } = source.model;
      const start = alignUp(size, request);
      const hole = alignUp(Math.max(subject.manifest.holes ?? 0, 65_536) + 2 * request, request);
      yield* source.write(subject.random.bytes(request), start + hole);
      yield* subject.write(subject.random.bytes(hole + 40 * request), 0);
      yield* copyAll(subject, source, { from: start - request, offset: 2 * request, length: hole + 2 * request });
      yield* subject.check();
      // the last that it copies is a hole, and it grows by it
      const end = alignUp(subject.model.size, request);
      yield* copyAll(subject, source, { from: start + request, offset: end, length: request });
      yield* subject.check();
    },
  },
  {
    name: "grows by what is copied past its end, and reads zeroes in the gap before",
    when: ifCopiesAndGrows,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      const end = subject.model.size - (subject.model.size % request);
      yield* copyAll(subject, source, { from: request, offset: end - request, length: 4 * request });
      yield* subject.check();
      yield* copyAll(subject, source, { from: 0, offset: end + 19 * request, length: 2 * request });
      yield* subject.check();
    },
  },
  {
    name: "copies nothing when the range is empty, and doesn't grow by it",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      for (const offset of [0, 5 * request, alignUp(subject.model.size, request) + 3 * request]) {
        yield* copyInto(subject, source, { from: request, offset, length: 0 });
        yield* subject.check();
      }
    },
  },
  {
    name: "copies what was written to the other storage just before, and keeps it when that one changes",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      yield* source.write(subject.random.bytes(6 * request), 2 * request);
      yield* copyAll(subject, source, { from: request, offset: 8 * request, length: 9 * request });
      yield* source.write(subject.random.bytes(12 * request), 0);
      yield* subject.check();
      yield* subject.write(subject.random.bytes(2 * request), 9 * request);
      yield* subject.check();
      yield* source.check();
    },
  },
  {
    name: "copies zeroes or nothing from where the other storage has ended",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      const end = source.model.size - (source.model.size % request);
      for (const from of [end - 2 * request, end + 5 * request]) {
        yield* fill(subject);
        yield* copyInto(subject, source, { from, offset: 3 * request, length: 6 * request });
        yield* subject.check();
        yield* source.check();
      }
    },
  },
  {
    name: "copies from storages of other kinds what they read as, or nothing",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const { storage, model } = sourceOf(subject);
      const range = { from: 0, offset: 2 * subject.grains.request, length: 5 * subject.grains.request };
      const bytes = subject.random.bytes(range.length);
      yield* copyInto(subject, { storage: new MemoryStorage(bytes), model: new ModelDisk(bytes) }, range);
      yield* subject.check();
      const inverted = new ModelDisk(model.read().map((byte) => ~byte));
      yield* copyInto(subject, { storage: new InvertedStorage(storage), model: inverted }, range);
      yield* subject.check();
    },
  },
  {
    name: "copies to several places at once while its neighbourhood is written",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      const operations: Io<void>[] = [];
      for (let index = 0; index < 36; index += 3) {
        const offset = index * request;
        operations.push(copyAll(subject, source, { from: (36 - index) * request, offset, length: request }));
        operations.push(subject.write(subject.random.bytes(request), offset + request));
        operations.push(subject.check(offset + 2 * request, request));
      }
      yield* all(operations);
      yield* subject.check();
    },
  },
  {
    name: "copies nothing of a storage that is closed, or refuses to with ERR_IMG_CLOSED",
    when: ifCopies,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const source = sourceOf(subject);
      const { request } = subject.grains;
      yield* source.close();
      const copied = yield* attempt(
        callCopyFrom(subject, source.storage, { from: 0, offset: 3 * request, length: request }),
        (error) => isImgError(error, "ERR_IMG_CLOSED"),
      );
      assert.equal(copied, 0);
      yield* subject.check();
    },
  },
];

/** Copies a range onto a part of itself: right, or refused and all as it was. */
function* checkOverlap(subject: StorageSubject, range: CopyRange): Io<void> {
  const before = subject.model.read();
  const copied = yield* attempt(callCopyFrom(subject, subject.storage, range), () => true);
  subject.model.write(before.subarray(range.from, range.from + copied), range.offset);
  yield* subject.check();
}

/** What a call answers; 0 where it fails as it may. */
function* attempt(call: Io<number>, mayFail: (error: unknown) => boolean): Io<number> {
  try {
    return yield* call;
  } catch (error) {
    if (mayFail(error)) {
      return 0;
    }
    throw error;
  }
}
