import type { Io } from "@img/format-core";
import { expectFailure } from "../../assert/expect-failure.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Unaligned, aligned, several blocks, everything. */
function rangesOf({
  blockSize,
  model: { size },
}: FormatSubject): readonly (readonly [offset: number, length: number])[] {
  return [
    [100, 50],
    [2 * blockSize, blockSize],
    [5 * blockSize + 1, blockSize],
    [blockSize - 1, 3 * blockSize + 2],
    [size - 700, 700],
    [0, 0],
    [0, size],
  ];
}

/** Discards: what is lost is exactly what was to be lost. */
export const discardingCases: readonly FormatCase[] = [
  {
    name: "reads zeroes where it was discarded to zero, and nowhere else",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      for (const [offset, length] of rangesOf(subject)) {
        yield* subject.discardToZero(offset, length);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "keeps everything around what is discarded to anything",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      for (const [offset, length] of rangesOf(subject)) {
        yield* subject.discardToAny(offset, length);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "shows the backing image, or what was there, where it was discarded to that",
    when: (manifest) => ifWritable(manifest) && manifest.discardsToBacking === true,
    *run(subject: FormatSubject): Io<void> {
      for (const [offset, length] of rangesOf(subject)) {
        yield* subject.discardToBacking(offset, length);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "refuses to discard to a backing image with ERR_IMG_UNSUPPORTED",
    when: (manifest) => ifWritable(manifest) && manifest.discardsToBacking !== true,
    *run(subject: FormatSubject): Io<void> {
      yield* expectFailure(
        subject.access.io.discardToBacking(0, subject.blockSize),
        "discardToBacking",
        "ERR_IMG_UNSUPPORTED",
      );
      yield* subject.check();
    },
  },
  {
    name: "takes writes where it was discarded, without bringing back what was there",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      for (let round = 0; round < 3; round++) {
        yield* subject.write(random.bytes(3 * blockSize), blockSize);
        yield* subject.discardToZero(blockSize, 3 * blockSize);
        yield* subject.write(random.bytes(100), 2 * blockSize + 50);
        yield* subject.check();
        // now a format may use again what was freed
        yield* subject.flush();
        yield* subject.sync();
        yield* subject.write(random.bytes(100), blockSize + 50);
        yield* subject.write(random.bytes(100), 4 * blockSize + 50);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
];
