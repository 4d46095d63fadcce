import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { ifGrows, ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Writes past the end. */
export const growingCases: readonly StorageCase[] = [
  {
    name: "grows to exactly where a write across its end ends",
    when: ifGrows,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      const start = size - (size % request) - request;
      yield* subject.write(subject.random.bytes(4 * request), start, 3);
      assert.equal(subject.storage.size, start + 4 * request);
      yield* subject.check();
    },
  },
  {
    name: "grows by a write at its very end",
    when: ifGrows,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.write(subject.random.bytes(subject.grains.request), subject.model.size);
      yield* subject.check();
    },
  },
  {
    name: "reads zeroes in the gap that a write behind the end leaves",
    when: ifGrows,
    *run(subject: StorageSubject): Io<void> {
      const { request, largest } = subject.grains;
      yield* subject.write(subject.random.bytes(request), subject.model.size + 7 * request);
      yield* subject.check();
      yield* subject.write(subject.random.bytes(request), subject.model.size + 30 * largest);
      yield* subject.check();
    },
  },
  {
    name: "grows from nothing",
    when: (manifest) => ifGrows(manifest) && manifest.empty !== false,
    contents: (): Uint8Array => new Uint8Array(0),
    *run(subject: StorageSubject): Io<void> {
      yield* subject.write(subject.random.bytes(2 * subject.grains.request), 3 * subject.grains.request);
      yield* subject.check();
      yield* subject.write(subject.random.bytes(subject.grains.request), 0);
      yield* subject.check();
    },
  },
  {
    name: "refuses a write that ends past its fixed end, and stays as it is",
    when: (manifest) => ifWritable(manifest) && !ifGrows(manifest),
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      for (const offset of [size - (size % request), size + 3 * request]) {
        const write = subject.write(subject.random.bytes(2 * request), offset);
        yield* expectFailure(write, "a write past the end");
        subject.checkSize();
      }
      // what lies before the end may or may not have been written
      yield* subject.check(0, size - (size % request));
    },
  },
];
