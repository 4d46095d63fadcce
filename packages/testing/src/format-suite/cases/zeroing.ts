import type { Io } from "@img/format-core";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** `writeZeroes`: exact at both ends, whatever the format can map as zero. */
export const zeroingCases: readonly FormatCase[] = [
  {
    name: "zeroes exactly the range that it is told to",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize } = subject;
      for (const [offset, length] of [
        [100, 50],
        [blockSize - 10, 20],
        [2 * blockSize, blockSize],
        [5 * blockSize + 1, blockSize],
        [3 * blockSize - 1, 2 * blockSize + 2],
        [subject.model.size - 700, 700],
      ] as const) {
        yield* subject.writeZeroes(offset, length);
        yield* subject.check();
      }
    },
  },
  {
    name: "zeroes the whole disk, twice",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.writeZeroes(0, subject.model.size);
      yield* subject.check();
      yield* subject.writeZeroes(0, subject.model.size);
      yield* subject.check();
    },
  },
  {
    name: "zeroes nothing when the range is empty",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.writeZeroes(0, 0);
      yield* subject.writeZeroes(subject.model.size, 0);
      yield* subject.check();
    },
  },
  {
    name: "takes writes where it was zeroed, with zeroes around them",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      yield* subject.write(random.bytes(3 * blockSize), blockSize);
      yield* subject.writeZeroes(blockSize, 3 * blockSize);
      yield* subject.write(random.bytes(100), 2 * blockSize + 50);
      yield* subject.check();
      yield* subject.writeZeroes(2 * blockSize, 100);
      yield* subject.check();
    },
  },
  {
    name: "is still zero when it is closed and opened again",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.writeZeroes(10, 2 * subject.blockSize);
      yield* subject.writeZeroes(5 * subject.blockSize - 10, subject.blockSize + 20);
      yield* subject.reopen();
      yield* subject.check();
    },
  },
];
