import { AssertionError } from "node:assert/strict";
import { ImgError, type Io } from "@img/format-core";
import { describeError } from "../../assert/expect-failure.ts";
import type { FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Bad images: an `ImgError`, or bytes; never anything else. */
export const hostileCases: readonly FormatCase[] = [
  {
    name: "reads or refuses an image that is cut off anywhere, with nothing but an ImgError",
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      for (const [index, whole] of subject.files.entries()) {
        for (const length of cuts(whole.length)) {
          const files = replaced(subject.files, index, whole.slice(0, length));
          yield* openAndRead(subject, files, `storage ${String(index)} cut off at ${String(length)}`);
        }
      }
    },
  },
  {
    name: "reads or refuses an image with changed bytes, with nothing but an ImgError",
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      const { random, files } = subject;
      for (let count = 0; count < (subject.manifest.mutations ?? 200); count++) {
        const index = random.integer(0, files.length - 1);
        const changed = (files[index] ?? new Uint8Array(0)).slice();
        const what = mutate(changed, subject);
        yield* openAndRead(subject, replaced(files, index, changed), `storage ${String(index)} with ${what}`);
      }
    },
  },
];

/** All of them but one. */
function replaced(files: readonly Uint8Array[], index: number, bytes: Uint8Array): Uint8Array[] {
  return files.map((each, at) => (at === index ? bytes : each));
}

/** Lengths that are likely to cut something in two. */
function cuts(length: number): number[] {
  const near = [0, 1, 3, 4, 8, 31, 71, 72, 103, 104, 111, 112, 511, 512, 513, 4095, 4096, 65535, 65536];
  const far = Array.from({ length: 24 }, (_, index) => Math.floor((length * index) / 24));
  return [...near, ...far, length - 1].filter((each) => each >= 0 && each < length);
}

/** Changes a few bytes, more often at the start, and says which. */
function mutate(bytes: Uint8Array, { random }: FormatSubject): string {
  const changes: string[] = [];
  for (let count = random.integer(1, 3); count > 0; count--) {
    const end = random.chance(0.5) ? Math.min(bytes.length, 512) : bytes.length;
    const width = random.pick([1, 1, 2, 4, 8]);
    const at = random.integer(0, Math.max(0, end - width));
    const values = random.pick([random.bytes(width), new Uint8Array(width).fill(0xff), new Uint8Array(width)]);
    bytes.set(values.subarray(0, bytes.length - at), at);
    changes.push(`${Buffer.from(values).toString("hex")} at 0x${at.toString(16)}`);
  }
  return changes.join(", ");
}

function* openAndRead(subject: FormatSubject, files: readonly Uint8Array[], what: string): Io<void> {
  try {
    yield* subject.open({ files, writable: false });
    // what the image claims to hold may be huge
    const { size } = subject.access;
    const length = Math.min(size, subject.model.size);
    yield* subject.read(0, length);
    yield* subject.read(Math.max(0, size - 4096), 4096);
  } catch (error) {
    if (!(error instanceof ImgError)) {
      throw new AssertionError({ message: `${what}: ${describeError(error)}, expected an ImgError`, actual: error });
    }
  } finally {
    yield* closeQuietly(subject);
  }
}

function* closeQuietly(subject: FormatSubject): Io<void> {
  try {
    yield* subject.close();
  } catch (error) {
    if (!(error instanceof ImgError)) {
      throw error;
    }
  }
}
