import { isImgError, type Io, type Preallocation } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import type { FormatSubject } from "../format-subject.ts";

const modes: readonly Preallocation[] = ["none", "zero", "metadata", "falloc", "full"];

const ifGrows = (manifest: FormatManifest): boolean => ifWritable(manifest) && manifest.grows === true;
const ifShrinks = (manifest: FormatManifest): boolean => ifWritable(manifest) && manifest.shrinks === true;

/** Resizing: what stays is kept, what is gained is zero, and what was cut off never comes back. */
export const resizingCases: readonly FormatCase[] = [
  ...modes.map((mode): FormatCase => ({
    name: `grows with preallocation ${mode}`,
    when: ifGrows,
    *run(subject: FormatSubject): Io<void> {
      for (const gain of [4096, 2 * subject.blockSize, 3 * subject.blockSize + subject.sizeUnit]) {
        yield* grow(subject, subject.model.size + gain, mode);
        yield* subject.check();
      }
      yield* subject.write(subject.random.bytes(600), subject.model.size - 600);
      yield* subject.reopen();
      yield* subject.check();
    },
  })),
  {
    name: "shrinks, and has nothing behind its new end",
    when: ifShrinks,
    *run(subject: FormatSubject): Io<void> {
      for (const size of [6 * subject.blockSize, 4 * subject.blockSize + subject.sizeUnit, 4096]) {
        yield* subject.resize(size);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "doesn't bring back what was cut off",
    when: (manifest) => ifGrows(manifest) && ifShrinks(manifest),
    *run(subject: FormatSubject): Io<void> {
      const { size } = subject.model;
      yield* subject.write(subject.random.bytes(size), 0);
      yield* subject.resize(2 * subject.blockSize + subject.sizeUnit);
      yield* grow(subject, size, "zero");
      yield* subject.check();
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "stays as it is when it is resized to its own size",
    when: ifGrows,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.resize(subject.model.size);
      yield* subject.access.io.resizeGrow(subject.model.size - 512, "zero");
      yield* subject.access.io.resizeShrink(subject.model.size + 512);
      yield* subject.check();
    },
  },
  {
    name: "refuses to grow with ERR_IMG_UNSUPPORTED, and stays as it is",
    when: (manifest) => ifWritable(manifest) && manifest.grows !== true,
    *run(subject: FormatSubject): Io<void> {
      yield* expectFailure(subject.resize(subject.model.size + 4096), "resize to more", "ERR_IMG_UNSUPPORTED");
      yield* subject.check();
    },
  },
  {
    name: "refuses to shrink with ERR_IMG_UNSUPPORTED, and stays as it is",
    when: (manifest) => ifWritable(manifest) && manifest.shrinks !== true,
    *run(subject: FormatSubject): Io<void> {
      yield* expectFailure(subject.resize(4096), "resize to less", "ERR_IMG_UNSUPPORTED");
      yield* subject.check();
    },
  },
];

/** Resizes; a mode that the manifest doesn't name may be refused, and then nothing has changed. */
function* grow(subject: FormatSubject, size: number, mode: Preallocation): Io<void> {
  try {
    yield* subject.resize(size, mode);
  } catch (error) {
    const named = (subject.manifest.preallocations ?? modes).includes(mode);
    if (named || !isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      throw error;
    }
  }
}
