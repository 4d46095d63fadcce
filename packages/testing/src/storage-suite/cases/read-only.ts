import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { callCopyFrom } from "../copy-into.ts";
import { mayCopy, type StorageCase } from "../storage-case.ts";
import type { StorageFactory, StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const ifReadOnly = (manifest: StorageManifest, factory: StorageFactory): boolean =>
  manifest.writable === false || factory.readOnly !== undefined;

/** Everything that would change a storage, by what it is called in messages. */
const changes: Readonly<Record<string, (subject: StorageSubject) => Io<unknown> | undefined>> = {
  write: (subject) => subject.write(subject.random.bytes(subject.grains.request), 2 * subject.grains.request),
  "write past the end": (subject) =>
    subject.write(subject.random.bytes(subject.grains.request), subject.model.size + 2 * subject.grains.request),
  writeZeroes: (subject) =>
    subject.storage.writeZeroes === undefined ? undefined : subject.zero(subject.grains.zero, subject.grains.zero),
  copyFrom: (subject) =>
    subject.storage.copyFrom === undefined || subject.source === undefined
      ? undefined
      : callCopyFrom(subject, subject.source.storage, {
          from: 0,
          offset: subject.grains.request,
          length: subject.grains.request,
        }),
  discard: (subject) =>
    subject.storage.discard === undefined ? undefined : subject.discard(subject.grains.discard, subject.grains.discard),
  "resize to more": (subject) =>
    subject.storage.resize === undefined
      ? undefined
      : subject.resize(subject.model.size + subject.grains.request, "zero"),
  "resize to less": (subject) =>
    subject.storage.resize === undefined ? undefined : subject.resize(subject.grains.request, "zero"),
};

/** What a storage that isn't writable refuses. */
export const readOnlyCases: readonly StorageCase[] = [
  {
    name: "says of itself that it is read-only when it is, and reads all the same",
    when: ifReadOnly,
    readOnly: true,
    *run(subject: StorageSubject): Io<void> {
      assert.equal(subject.storage.writable, false);
      yield* subject.check();
      yield* subject.flush();
      yield* subject.sync();
      yield* subject.check();
    },
  },
  ...Object.entries(changes).map(([name, change]): StorageCase => ({
    name: `refuses ${name} with ERR_IMG_READ_ONLY when it is read-only, and stays as it is`,
    when: (manifest, factory) => ifReadOnly(manifest, factory) && (name !== "copyFrom" || mayCopy(manifest)),
    readOnly: true,
    another: name === "copyFrom",
    *run(subject: StorageSubject): Io<void> {
      const operation = change(subject);
      if (operation !== undefined) {
        yield* expectFailure(operation, name, "ERR_IMG_READ_ONLY", "ERR_IMG_UNSUPPORTED");
      }
      yield* subject.check();
    },
  })),
];
