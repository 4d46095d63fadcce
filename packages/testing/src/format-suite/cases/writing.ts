import assert from "node:assert/strict";
import { writeStorage, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes } from "../../assert/assert-bytes.ts";
import { expectFailure } from "../../assert/expect-failure.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import type { FormatSubject } from "../format-subject.ts";

const ifMapsDirectly = (manifest: FormatManifest): boolean => ifWritable(manifest) && manifest.directWrites !== false;

/** Writes: all of it, nothing else, and still there when the image is opened again. */
export const writingCases: readonly FormatCase[] = [
  {
    name: "keeps what is written, and everything around it",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      for (const [offset, length] of [
        [10, 100],
        [blockSize + 1000, 512],
        [2 * blockSize - 300, 600],
        [3 * blockSize, blockSize],
        [4 * blockSize - 1, 2 * blockSize + 2],
        [subject.model.size - 1, 1],
        [0, 1],
      ] as const) {
        yield* subject.write(random.bytes(length), offset);
        yield* subject.check();
      }
    },
  },
  {
    name: "writes around the edges of its blocks",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      for (let edge = 0; edge <= subject.model.size; edge += subject.blockSize) {
        for (const [before, length] of [
          [512, 512],
          [1, 2],
          [0, 1],
          [700, 1400],
        ] as const) {
          const start = Math.max(0, edge - before);
          yield* subject.write(subject.random.bytes(Math.min(length, subject.model.size - start)), start);
        }
      }
      yield* subject.check();
    },
  },
  {
    name: "writes the whole disk at once, from many buffers",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.write(subject.random.bytes(subject.model.size), 0, 50);
      yield* subject.check();
      yield* subject.write(subject.random.bytes(subject.model.size - 2), 1, 1300);
      yield* subject.check();
    },
  },
  {
    name: "overwrites what was written, with data and with zeroes",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      yield* subject.write(random.bytes(3 * blockSize), blockSize);
      yield* subject.write(new Uint8Array(blockSize + 100), blockSize + 50);
      yield* subject.write(random.bytes(77), blockSize + 99);
      yield* subject.check();
    },
  },
  {
    name: "writes nothing from no buffers",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      for (const offset of [0, subject.blockSize, subject.model.size]) {
        yield* subject.write(new Uint8Array(0), offset);
      }
      yield* subject.check();
    },
  },
  {
    name: "refuses what would end behind the disk with ERR_IMG_OUT_OF_RANGE, and writes nothing of it",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { access, model } = subject;
      const { io } = access;
      const bytes = IoVector.single(subject.random.bytes(1000));
      for (const offset of [model.size - 999, model.size, model.size + 5000]) {
        yield* expectFailure(io.write(bytes, offset), "write", "ERR_IMG_OUT_OF_RANGE");
        yield* expectFailure(io.writeZeroes(offset, 1000), "writeZeroes", "ERR_IMG_OUT_OF_RANGE");
        yield* expectFailure(io.discardToZero(offset, 1000), "discardToZero", "ERR_IMG_OUT_OF_RANGE");
        yield* expectFailure(io.discardToAny(offset, 1000), "discardToAny", "ERR_IMG_OUT_OF_RANGE");
        yield* expectFailure(io.ensureDataMapping(offset, 1000, false), "ensureDataMapping", "ERR_IMG_OUT_OF_RANGE");
      }
      yield* subject.check();
    },
  },
  {
    name: "has what was written when it is closed and opened again",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      for (let round = 0; round < 3; round++) {
        yield* subject.write(random.bytes(blockSize + 300), (round + 1) * blockSize - 150);
        yield* subject.write(random.bytes(10), 5 * blockSize + round * 100);
        yield* subject.reopen();
        yield* subject.check();
      }
      yield* subject.reopen({ writable: false });
      yield* subject.check();
    },
  },
  {
    name: "has in its storages what was written once it was flushed",
    when: ifWritable,
    *run(subject: FormatSubject): Io<void> {
      const { blockSize, random } = subject;
      yield* subject.write(random.bytes(blockSize + 300), blockSize - 150);
      yield* subject.write(random.bytes(blockSize), 3 * blockSize);
      yield* subject.flush();
      // the image stays open: what is there now must do
      const open = subject.access;
      const { memories } = subject;
      yield* subject.open({ writable: false, files: subject.contents() });
      yield* subject.check();
      yield* subject.close();
      subject.adopt(open);
      subject.memories = memories;
      yield* subject.write(random.bytes(100), 0);
      yield* subject.check();
    },
  },
  {
    name: "makes ranges writable in a storage without changing what they hold",
    when: ifMapsDirectly,
    *run(subject: FormatSubject): Io<void> {
      const { access, model, blockSize } = subject;
      for (let at = 0; at < model.size; at += Math.floor(blockSize / 2) + 100) {
        const length = Math.min(blockSize, model.size - at);
        const mapping = yield* access.io.ensureDataMapping(at, length, false);
        assert.ok(mapping.length >= 1 && mapping.length <= length, `mapped ${String(mapping.length)} bytes`);
        assert.ok(access.storages().includes(mapping.storage));
        yield* subject.check(at, mapping.length);
      }
      yield* subject.check();
    },
  },
  {
    name: "shows what is written directly in a storage",
    when: ifMapsDirectly,
    *run(subject: FormatSubject): Io<void> {
      const { access, model, blockSize, random } = subject;
      for (let at = 100; at < model.size; at += blockSize) {
        const wanted = Math.min(600, model.size - at);
        const mapping = yield* access.io.ensureDataMapping(at, wanted, false);
        const bytes = random.bytes(mapping.length);
        yield* writeStorage(mapping.storage, IoVector.single(bytes), mapping.offset);
        model.write(bytes, at);
      }
      yield* subject.check();
      yield* subject.reopen();
      yield* subject.check();
    },
  },
  {
    name: "shows no stale bytes where a range is mapped to be overwritten and isn't",
    when: ifMapsDirectly,
    *run(subject: FormatSubject): Io<void> {
      const { access, model, blockSize } = subject;
      // old contents that a careless format would show: written, freed, and taken again
      yield* subject.write(subject.random.bytes(2 * blockSize), 0);
      yield* subject.discardToZero(0, 2 * blockSize);
      yield* subject.flush();
      yield* subject.sync();
      const at = blockSize + 100;
      const mapping = yield* access.io.ensureDataMapping(at, 600, true);
      const around = yield* subject.read(0, model.size);
      const outside = model.read();
      outside.set(around.subarray(at, at + mapping.length), at);
      assertBytes(around, outside, "what lies around the mapped range");
    },
  },
];
