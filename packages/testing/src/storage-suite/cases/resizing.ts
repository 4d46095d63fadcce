import type { Io, StoragePreallocation } from "@img/format-core";
import { isImgError } from "@img/format-core";
import type { StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import { ifWritable } from "../storage-case.ts";
import type { StorageSubject } from "../storage-subject.ts";

const modes: readonly StoragePreallocation[] = ["none", "zero", "allocate", "write"];

const ifResizes = (manifest: StorageManifest): boolean => ifWritable(manifest) && manifest.resizes === true;

/** `resize`: nothing that stays is changed, and nothing that was cut off comes back. */
export const resizingCases: readonly StorageCase[] = [
  ...modes.map((mode): StorageCase => ({
    name: `grows by resize with preallocation ${mode}`,
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      yield* grow(subject, subject.model.size + 9 * subject.grains.largest + subject.grains.request, mode);
      yield* subject.check();
      yield* grow(subject, subject.model.size + subject.grains.request, mode);
      yield* subject.check();
    },
  })),
  {
    name: "grows by resize when no preallocation is named",
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.resize(subject.model.size + 3 * subject.grains.request);
      yield* subject.check();
    },
  },
  {
    name: "shrinks by resize, and reads zeroes behind its new end",
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.resize(5 * subject.grains.request);
      yield* subject.check();
      yield* subject.resize(subject.grains.request);
      yield* subject.check();
    },
  },
  {
    name: "doesn't bring back what was cut off when it grows by resize again",
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      const { size } = subject.model;
      yield* subject.resize(3 * subject.grains.request);
      yield* grow(subject, size, "zero");
      yield* subject.check();
    },
  },
  {
    name: "doesn't bring back what was cut off when a write behind the end makes it grow",
    when: (manifest) => ifResizes(manifest) && manifest.grows !== false,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      yield* subject.resize(3 * request);
      yield* subject.write(subject.random.bytes(request), 11 * request);
      yield* subject.check();
    },
  },
  {
    name: "stays as it is when it is resized to its own size",
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      for (const mode of modes) {
        yield* grow(subject, subject.model.size, mode);
        yield* subject.check();
      }
    },
  },
  {
    name: "shrinks to nothing and grows from nothing",
    when: (manifest) => ifResizes(manifest) && manifest.empty !== false,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.resize(0);
      yield* subject.check();
      yield* grow(subject, 4 * subject.grains.request, "zero");
      yield* subject.check();
    },
  },
  {
    name: "takes writes in what it gained by resize",
    when: ifResizes,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      yield* grow(subject, size + 12 * request, "zero");
      yield* subject.write(subject.random.bytes(2 * request), size + 3 * request);
      yield* subject.check();
    },
  },
  {
    name: "has the size that it was given when it is opened again",
    when: (manifest, factory) => ifResizes(manifest) && factory.reopen !== undefined,
    *run(subject: StorageSubject): Io<void> {
      yield* grow(subject, subject.model.size + 5 * subject.grains.request, "zero");
    },
    *reopened(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  },
];

/** Resizes; a mode that the manifest doesn't name may be refused, and then nothing has changed. */
function* grow(subject: StorageSubject, size: number, mode: StoragePreallocation): Io<void> {
  try {
    yield* subject.resize(size, mode);
  } catch (error) {
    const named = (subject.manifest.preallocations ?? modes).includes(mode);
    if (named || !isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      throw error;
    }
  }
}
