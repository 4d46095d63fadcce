import { all, type Io } from "@img/format-core";
import { assertBytesOfEither } from "../../assert/assert-bytes.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Operations in flight together. (In the synchronous world they run one after the other.) */
export const concurrencyCases: readonly FormatCase[] = [
  {
    name: "does writes to different blocks at once",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      const blocks = [4, 1, 0, 6, 3, 5, 2];
      yield* all(blocks.map((block) => subject.write(random.bytes(blockSize - 10), block * blockSize + 5, 3)));
      yield* subject.check();
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "does writes to one block at once, and loses none of them",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      const writes: Io<void>[] = [];
      // allocated and not, zero and not: all blocks, each in parts that leave gaps
      for (let part = 0; part < 6; part++) {
        for (let block = 0; block < 7; block++) {
          const start = block * blockSize + Math.floor((part * blockSize) / 6);
          writes.push(subject.write(random.bytes(Math.floor(blockSize / 8)), start + 3));
        }
      }
      yield* all(writes);
      yield* subject.check();
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "has the bytes of one or the other of two writes to the same place",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      const offset = blockSize - 100;
      const candidates = Array.from({ length: 4 }, () => random.bytes(2 * blockSize));
      yield* all(candidates.map((bytes) => subject.writeUnseen(bytes, offset)));
      const found = yield* subject.read(offset, 2 * blockSize);
      assertBytesOfEither(found, candidates, "two writes to the same place", offset);
      subject.model.write(found, offset);
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "reads what isn't being written while something else is",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      const operations: Io<void>[] = [];
      for (let block = 0; block < 7; block++) {
        const half = Math.floor(blockSize / 2);
        operations.push(subject.write(random.bytes(half), block * blockSize));
        operations.push(subject.check(block * blockSize + half, blockSize - half));
      }
      yield* all(operations);
      yield* subject.check();
    },
  },
  {
    name: "writes, zeroes, discards and flushes at once in different blocks",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      for (let round = 0; round < 4; round++) {
        const at = (block: number): number => ((block + round) % 7) * blockSize;
        yield* all<unknown>([
          subject.write(random.bytes(blockSize - 7), at(0) + 3),
          subject.writeZeroes(at(1), blockSize),
          subject.flush(),
          subject.discardToZero(at(2) + 1, blockSize - 2),
          subject.write(random.bytes(100), at(3) + 50),
          subject.sync(),
          subject.discardToAny(at(4), blockSize),
          subject.flush(),
          subject.write(random.bytes(blockSize), at(5)),
        ]);
        yield* subject.check();
      }
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "finishes what is in flight before it closes",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      yield* all([
        subject.write(random.bytes(blockSize + 100), blockSize - 50),
        subject.write(random.bytes(blockSize), 3 * blockSize),
        subject.access.io.close(),
      ]);
      yield* subject.reopen();
      yield* subject.check();
    },
  },
];
