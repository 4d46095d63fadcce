import assert from "node:assert/strict";
import { alignUp, all, type Io } from "@img/format-core";
import { assertBytesOfEither } from "../../assert/assert-bytes.ts";
import { ifGrows, ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Calls in flight together. (In the synchronous world they run one after the other.) */
export const concurrencyCases: readonly StorageCase[] = [
  {
    name: "answers many reads at once, each with its own bytes",
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const places = Array.from({ length: 64 }, (_, index) => ((index * 7) % 40) * request);
      yield* all(places.map((offset, index) => subject.check(offset, (1 + (index % 3)) * request)));
    },
  },
  {
    name: "does writes to different places at once",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const grains = [3, 8, 0, 11, 5, 30, 20, 21, 22, 23];
      yield* all(grains.map((grain) => subject.write(subject.random.bytes(request), grain * request, 2)));
      yield* subject.check();
    },
  },
  {
    name: "reads what isn't being written while something else is",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const operations: Io<void>[] = [];
      for (let grain = 0; grain < 30; grain += 2) {
        operations.push(subject.write(subject.random.bytes(request), grain * request));
        operations.push(subject.check((grain + 1) * request, request));
      }
      yield* all(operations);
      yield* subject.check();
    },
  },
  {
    name: "has the bytes of one or the other of two writes to the same place",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const candidates: Uint8Array[] = [];
      const writes: Io<void>[] = [];
      for (let index = 0; index < 5; index++) {
        const bytes = subject.random.bytes(8 * request);
        candidates.push(bytes);
        writes.push(subject.writeUnseen(bytes, 4 * request, 3));
      }
      yield* all(writes);
      const found = yield* subject.read(4 * request, 8 * request);
      if (subject.manifest.retains !== false) {
        assertBytesOfEither(found, candidates, "two writes to the same place", 4 * request);
      }
      subject.model.write(found, 4 * request);
      yield* subject.check();
    },
  },
  {
    name: "has everything of writes that make it grow at once, and the largest of their sizes",
    when: ifGrows,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      const places = [5, 0, 9, 2, 1, 7, 3];
      yield* all(places.map((place) => subject.write(subject.random.bytes(request), size + place * request)));
      assert.equal(subject.storage.size, size + 10 * request);
      yield* subject.check();
    },
  },
  {
    name: "zeroes and discards while its neighbourhood is written",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { largest, zero, discard, request } = subject.grains;
      const limits = subject.storage.limits;
      const operations: Io<unknown>[] = [];
      for (let index = 0; index < 36; index += 4) {
        const start = index * largest;
        operations.push(subject.write(subject.random.bytes(request), alignUp(start, limits.request)));
        if (subject.storage.writeZeroes !== undefined) {
          operations.push(subject.zero(alignUp(start + largest, limits.zero), zero));
        }
        if (subject.storage.discard !== undefined) {
          operations.push(subject.discard(alignUp(start + 2 * largest, limits.discard), discard));
        }
      }
      yield* all(operations);
      yield* subject.check();
    },
  },
  {
    name: "flushes and syncs while it is read and written",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const operations: Io<void>[] = [];
      for (let grain = 0; grain < 24; grain += 2) {
        operations.push(subject.write(subject.random.bytes(request), grain * request));
        operations.push(grain % 4 === 0 ? subject.flush() : subject.sync());
        operations.push(subject.check((grain + 1) * request, request));
      }
      yield* all(operations);
      yield* subject.check();
    },
  },
];
