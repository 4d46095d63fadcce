import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { assertBytes } from "../../assert/assert-bytes.ts";
import { ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Writes inside of what is there: all of it, and nothing else. */
export const writingCases: readonly StorageCase[] = [
  {
    name: "keeps what is written, and everything around it",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      for (const grain of [3, 0, 17, 30]) {
        yield* subject.write(subject.random.bytes(2 * request), grain * request);
        yield* subject.check();
      }
    },
  },
  {
    name: "writes the smallest requests that its limits allow",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request, memory } = subject.storage.limits;
      const unit = Math.max(request, memory);
      for (const offset of [
        0,
        request,
        65536 - request,
        65536,
        subject.model.size - (subject.model.size % request) - unit,
      ]) {
        yield* subject.write(subject.random.bytes(unit), offset);
      }
      yield* subject.check();
    },
  },
  {
    name: "writes from many buffers, more than one system call takes",
    when: ifWritable,
    // for storages that don't grow
    contents: (grains, random): Uint8Array =>
      random.bytes(Math.max(grains.contents, 1100 * grains.smallest + 6 * grains.request)),
    *run(subject: StorageSubject): Io<void> {
      const { request, memory } = subject.storage.limits;
      const unit = Math.max(request, memory);
      yield* subject.write(subject.random.bytes(20 * subject.grains.request), request, 7);
      yield* subject.check();
      yield* subject.write(subject.random.bytes(1100 * unit), 5 * request, 1100);
      yield* subject.check();
    },
  },
  {
    name: "leaves its size alone when it is written inside",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      for (const offset of [0, 11 * request, size - request]) {
        yield* subject.write(subject.random.bytes(request), offset);
        assert.equal(subject.storage.size, size);
      }
      yield* subject.check();
    },
  },
  {
    name: "writes nothing from no buffers, and doesn't grow by it",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      for (const offset of [0, subject.model.size, subject.model.size + 4 * subject.grains.request]) {
        yield* subject.write(new Uint8Array(0), offset);
        subject.checkSize();
      }
      yield* subject.check();
    },
  },
  {
    name: "overwrites what was written, with data and with zeroes",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      yield* subject.write(subject.random.bytes(8 * request), 4 * request);
      yield* subject.write(new Uint8Array(3 * request), 5 * request);
      yield* subject.write(subject.random.bytes(request), 6 * request);
      yield* subject.check();
    },
  },
  {
    name: "doesn't keep the caller's buffers",
    when: ifWritable,
    *run(subject: StorageSubject): Io<void> {
      // the subject overwrites its buffers once a write is done
      yield* subject.write(subject.random.bytes(6 * subject.grains.request), 0, 3);
      yield* subject.check();
    },
  },
  {
    name: "shares no bytes with another storage",
    when: ifWritable,
    another: true,
    *run(subject: StorageSubject): Io<void> {
      const { storage, another } = subject;
      assert.ok(another !== undefined);
      const before = (yield* subject.read(0, 20 * subject.grains.request)).slice();
      yield* subject.write(subject.random.bytes(3 * subject.grains.request), 2 * subject.grains.request);
      yield* subject.check();
      subject.storage = another;
      assertBytes(yield* subject.read(0, before.length), before, "another storage");
      subject.storage = storage;
    },
  },
];
