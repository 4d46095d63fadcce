import assert from "node:assert/strict";
import { isImgError, MemoryStorage, type CreateOptions, type Io, type Preallocation } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { ModelDisk } from "../../model/model-disk.ts";
import type { FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import type { FormatSubject } from "../format-subject.ts";

const modes: readonly Preallocation[] = ["none", "zero", "metadata", "falloc", "full"];

const ifCreates = (manifest: FormatManifest): boolean => manifest.creates === true;

/** Creating: an empty disk, whatever the storage held before. */
export const creatingCases: readonly FormatCase[] = [
  ...modes.map((preallocation): FormatCase => ({
    name: `creates a disk that reads as zero, with preallocation ${preallocation}`,
    when: ifCreates,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      const size = 5 * subject.blockSize + 4096;
      if (yield* create(subject, { size, preallocation }, noFiles(subject))) {
        yield* checkNew(subject, size);
      }
    },
  })),
  {
    name: "creates a disk that reads as zero in a storage that held something else",
    when: ifCreates,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      const size = 5 * subject.blockSize + 4096;
      const rubbish = subject.files.map(() => subject.random.bytes(6 * subject.blockSize));
      assert.ok(yield* create(subject, { size }, rubbish));
      yield* checkNew(subject, size);
    },
  },
  {
    name: "creates a disk of no size when none is named",
    when: ifCreates,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      assert.ok(yield* create(subject, {}, noFiles(subject)));
      subject.model = new ModelDisk(0);
      yield* subject.check();
      yield* subject.reopen({ writable: false });
      yield* subject.check();
    },
  },
  {
    name: "isn't created in a storage that can't be written",
    when: ifCreates,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      const storages = subject.files.map((bytes) => new MemoryStorage(bytes, { writable: false }));
      yield* expectFailure(subject.maker.create(storages, { size: 4096 }), "creating", "ERR_IMG_READ_ONLY");
    },
  },
];

function noFiles(subject: FormatSubject): readonly Uint8Array[] {
  return subject.files.map(() => new Uint8Array(0));
}

/** Creates an image; `false`: it refuses this preallocation, as the manifest allows. */
function* create(subject: FormatSubject, options: CreateOptions, files: readonly Uint8Array[]): Io<boolean> {
  subject.provide({ files });
  try {
    subject.adopt(yield* subject.maker.create(subject.storages, options));
    return true;
  } catch (error) {
    const { preallocation = "none" } = options;
    const named = (subject.manifest.preallocations ?? modes).includes(preallocation);
    if (named || !isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      throw error;
    }
    return false;
  }
}

/** Asserts that the disk reads as zero, also when it is opened again, and takes writes. */
function* checkNew(subject: FormatSubject, size: number): Io<void> {
  subject.model = new ModelDisk(size);
  assert.equal(subject.access.writable, true);
  yield* subject.check();
  yield* subject.reopen();
  yield* subject.check();
  if (subject.manifest.writable !== false) {
    yield* subject.write(subject.random.bytes(subject.blockSize), subject.blockSize - 100);
    yield* subject.check();
    yield* subject.reopen({ writable: false });
    yield* subject.check();
  }
}
