import { all, type Io } from "@img/format-core";
import type { FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Reads: what the disk holds, wherever a request begins and ends. */
export const readingCases: readonly FormatCase[] = [
  {
    name: "reads the whole disk, and zeroes behind it",
    *run(subject: FormatSubject): Io<void> {
      yield* subject.check();
      yield* subject.check();
    },
  },
  {
    name: "reads the disk when it was opened read-only",
    opens: "read-only",
    *run(subject: FormatSubject): Io<void> {
      yield* subject.check();
    },
  },
  {
    name: "reads around the edges of its blocks",
    *run(subject: FormatSubject): Io<void> {
      for (let edge = 0; edge <= subject.model.size; edge += subject.blockSize) {
        for (const start of [edge - 513, edge - 512, edge - 1, edge, edge + 1]) {
          for (const length of [1, 2, 512, 1027]) {
            yield* subject.check(Math.max(0, start), length);
          }
        }
      }
    },
  },
  {
    name: "reads in pieces of any length, one after the other",
    *run(subject: FormatSubject): Io<void> {
      for (const length of [4096, 12_345, subject.blockSize, subject.blockSize + 1]) {
        for (let offset = 0; offset < subject.model.size; offset += length) {
          yield* subject.check(offset, length);
        }
      }
    },
  },
  {
    name: "reads at random places",
    *run(subject: FormatSubject): Io<void> {
      for (let count = 0; count < 60; count++) {
        const offset = subject.random.integer(0, subject.model.size);
        yield* subject.check(offset, subject.random.integer(1, 3 * subject.blockSize));
      }
    },
  },
  {
    name: "fills many buffers in order, and nothing around them",
    *run(subject: FormatSubject): Io<void> {
      subject.model.check(yield* subject.read(1, subject.model.size - 1, 40), 1);
      subject.model.check(yield* subject.read(100, 3 * subject.blockSize, 1500), 100);
    },
  },
  {
    name: "reads nothing into no buffers, wherever that is",
    *run(subject: FormatSubject): Io<void> {
      for (const offset of [0, 1, subject.blockSize, subject.model.size, subject.model.size + 1]) {
        yield* subject.read(offset, 0);
      }
    },
  },
  {
    name: "reads zeroes from the end of the disk on",
    *run(subject: FormatSubject): Io<void> {
      const { size } = subject.model;
      for (const offset of [size - 1, size, size + 1, size + 10 * subject.blockSize]) {
        yield* subject.check(offset, 5000);
        subject.model.check(yield* subject.read(offset, 5000, 7), offset);
      }
    },
  },
  {
    name: "answers many reads at once, each with its own bytes",
    *run(subject: FormatSubject): Io<void> {
      const reads = Array.from({ length: 64 }, (_, index) => {
        const offset = (index * 7919 * 13) % subject.model.size;
        return subject.check(offset, 1 + ((index * 911) % subject.blockSize));
      });
      yield* all(reads);
    },
  },
];
