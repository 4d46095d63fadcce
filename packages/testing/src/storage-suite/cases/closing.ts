import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { callCopyFrom } from "../copy-into.ts";
import { ifWritable, mayCopy, type StorageCase } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Every call that a closed storage has to refuse. `undefined`: this one doesn't have it. */
const calls: Readonly<Record<string, (subject: StorageSubject) => Io<unknown> | undefined>> = {
  read: (subject) => subject.read(0, subject.grains.request),
  "read behind the end": (subject) =>
    subject.read(subject.model.size + 5 * subject.grains.request, subject.grains.request),
  write: (subject) =>
    ifWritable(subject.manifest) ? subject.write(subject.random.bytes(subject.grains.request), 0) : undefined,
  writeZeroes: (subject) =>
    subject.storage.writeZeroes === undefined ? undefined : subject.zero(0, subject.grains.zero),
  copyFrom: (subject) =>
    subject.storage.copyFrom === undefined || subject.source === undefined
      ? undefined
      : callCopyFrom(subject, subject.source.storage, { from: 0, offset: 0, length: subject.grains.request }),
  discard: (subject) =>
    subject.manifest.discards === "maybe" || subject.storage.discard === undefined
      ? undefined
      : subject.discard(0, subject.grains.discard),
  extents: (subject) =>
    subject.manifest.extents === "maybe" || subject.storage.extents === undefined ? undefined : subject.extents(0, 1),
  allocatedSize: (subject) =>
    subject.storage.allocatedSize === undefined
      ? undefined
      : subject.call<unknown>(
          (storage) => storage.allocatedSize?.(),
          (storage) => storage.allocatedSizeSync?.(),
        ),
  resize: (subject) => (subject.storage.resize === undefined ? undefined : subject.resize(subject.model.size, "zero")),
  flush: (subject) => subject.flush(),
  sync: (subject) => subject.sync(),
  invalidate: (subject) =>
    subject.storage.invalidate === undefined
      ? undefined
      : subject.call<unknown>(
          (storage) => storage.invalidate?.(),
          (storage) => storage.invalidateSync?.(),
        ),
};

/** What is left of a storage after it was closed: what it was called, and `ERR_IMG_CLOSED`. */
export const closingCases: readonly StorageCase[] = [
  {
    name: "closes more than once without complaint",
    *run(subject: StorageSubject): Io<void> {
      yield* subject.close();
      yield* subject.close();
    },
  },
  {
    name: "has its label after it was closed, for messages",
    *run(subject: StorageSubject): Io<void> {
      yield* subject.close();
      assert.equal(typeof subject.storage.label, "string");
    },
  },
  {
    name: "has what was written before it was closed when it is opened again",
    when: (manifest, factory) => ifWritable(manifest) && factory.reopen !== undefined,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.write(subject.random.bytes(4 * subject.grains.request), 6 * subject.grains.request);
      yield* subject.flush();
      yield* subject.sync();
      yield* subject.close();
    },
    *reopened(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  },
  ...Object.entries(calls).map(([name, call]): StorageCase => ({
    name: `refuses ${name} with ERR_IMG_CLOSED after it was closed`,
    ...(name === "copyFrom" ? { when: mayCopy, another: true } : {}),
    *run(subject: StorageSubject): Io<void> {
      yield* subject.close();
      const operation = call(subject);
      if (operation !== undefined) {
        yield* expectFailure(operation, `${name} after closing`, "ERR_IMG_CLOSED");
      }
    },
  })),
];
