import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { ifGrows, ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** `flush`, `sync`, `invalidate`: whenever they are asked for, nothing is lost. */
export const flushingCases: readonly StorageCase[] = [
  {
    name: "flushes and syncs at any time, in any order, however often",
    *run(subject: StorageSubject): Io<void> {
      yield* subject.flush();
      yield* subject.sync();
      yield* subject.sync();
      yield* subject.flush();
      yield* subject.flush();
      yield* subject.check();
    },
  },
  {
    name: "has after flush and sync what it had before",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.write(subject.random.bytes(3 * subject.grains.request), subject.grains.request);
      yield* subject.flush();
      yield* subject.check();
      yield* subject.write(subject.random.bytes(3 * subject.grains.request), 2 * subject.grains.request);
      yield* subject.sync();
      yield* subject.check();
    },
  },
  {
    name: "has after invalidate what was flushed and synced before",
    when: (manifest) => manifest.invalidates !== undefined && manifest.invalidates !== false,
    *run(subject: StorageSubject): Io<void> {
      if (subject.storage.invalidate === undefined) {
        assert.notEqual(subject.manifest.invalidates, true);
        return;
      }
      if (subject.storage.writable) {
        yield* subject.write(subject.random.bytes(3 * subject.grains.request), subject.grains.request);
      }
      yield* subject.flush();
      yield* subject.sync();
      yield* subject.call(
        (storage) => storage.invalidate?.(),
        (storage) => storage.invalidateSync?.(),
      );
      yield* subject.check();
    },
  },
  {
    name: "has everything when it is opened again, its size too",
    when: (manifest, factory) => ifWritable(manifest) && factory.reopen !== undefined,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      yield* subject.write(subject.random.bytes(2 * request), 3 * request);
      if (ifGrows(subject.manifest)) {
        yield* subject.write(subject.random.bytes(request), subject.model.size + 5 * request);
      }
      if (subject.storage.writeZeroes !== undefined) {
        yield* subject.zero(4 * subject.grains.zero, subject.grains.zero);
      }
    },
    *reopened(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  },
];
