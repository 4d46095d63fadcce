import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { StorageMutant } from "./storage-mutant.ts";

class ShortAtEnd extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    super.read(into.slice(0, length), offset);
  }
}

class RubbishAtEnd extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    into.fill(0xff, Math.min(into.length, Math.max(0, this.size - offset)));
  }
}

class FirstBuffersOnly extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(IoVector.from(into.buffers.slice(0, 1024)), offset);
  }
}

class SameBytesInEachBuffer extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    for (const buffer of into.buffers) {
      super.read(IoVector.single(buffer), offset);
    }
  }
}

class WritesBehindBuffers extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    for (const buffer of into.buffers) {
      new Uint8Array(buffer.buffer)[buffer.byteOffset + buffer.length] = 0;
    }
  }
}

class GrowsWhenRead extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    if (offset + into.length > this.size) {
      this.resize?.(offset + into.length);
    }
  }
}

class OffByOne extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(into, offset > 65536 ? offset + 1 : offset);
  }
}

/** Keeps the caller's buffer as its cache. */
class KeepsReadBuffer extends MemoryStorage {
  #cached: { readonly offset: number; readonly bytes: IoVector } | undefined;

  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    if (this.#cached?.offset === offset && this.#cached.bytes.length <= into.length) {
      into.slice(0, this.#cached.bytes.length).copyFrom(this.#cached.bytes);
    }
    this.#cached = { offset, bytes: into };
  }
}

class RefusesNothing extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    if (into.length === 0) {
      throw new RangeError("nothing to read");
    }
    super.read(into, offset);
  }
}

class AnswersTooEarly extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    const bytes = IoVector.single(new Uint8Array(into.length));
    super.read(bytes, offset);
    setImmediate(() => {
      into.copyFrom(bytes);
    });
  }
}

class SynchronousReadsZero extends MemoryStorage {
  override readSync(into: IoVector, _offset: number): void {
    into.fill(0);
  }
}

/** Answers reads that are in flight together out of one buffer. */
class MixesUpReads extends MemoryStorage {
  readonly #shared = new Uint8Array(65536);

  // what a MemoryStorage answers at once is answered late here
  // eslint-disable-next-line @typescript-eslint/no-misused-promises
  override async read(into: IoVector, offset: number): Promise<void> {
    const part = IoVector.single(this.#shared.subarray(0, Math.min(into.length, 65536)));
    super.read(part, offset);
    await Promise.resolve();
    super.read(into, offset);
    into.slice(0, part.length).copyFrom(part);
  }
}

export const readingMutants: readonly StorageMutant[] = [
  {
    name: "reads are short at the end",
    create: (contents) => new ShortAtEnd(contents),
    caughtBy: [/^reads zeroes behind the end/, "reads zeroes where there is nothing but the end before"],
  },
  {
    name: "what lies behind the end isn't zero",
    create: (contents) => new RubbishAtEnd(contents),
    caughtBy: [/^reads zeroes behind the end/, "reads zeroes where there is nothing but the end before"],
  },
  {
    name: "only 1024 buffers are filled",
    create: (contents) => new FirstBuffersOnly(contents),
    caughtBy: ["fills more buffers than one system call takes"],
  },
  {
    name: "every buffer gets the same bytes",
    create: (contents) => new SameBytesInEachBuffer(contents),
    caughtBy: ["fills many buffers in order, and nothing around them"],
  },
  {
    name: "a byte behind each buffer is changed",
    create: (contents) => new WritesBehindBuffers(contents),
    caughtBy: ["fills many buffers in order, and nothing around them", "reads any part"],
  },
  {
    name: "reading behind the end grows it",
    create: (contents) => new GrowsWhenRead(contents),
    caughtBy: ["doesn't grow by being read behind the end"],
  },
  {
    name: "reads are off by one byte behind 64 KiB",
    create: (contents) => new OffByOne(contents),
    caughtBy: ["reads any part"],
  },
  {
    name: "the caller's buffer is kept as a cache",
    create: (contents) => new KeepsReadBuffer(contents),
    caughtBy: ["gives copies, not its own memory"],
  },
  {
    name: "empty reads are refused",
    create: (contents) => new RefusesNothing(contents),
    caughtBy: ["reads nothing into no buffers, wherever that is"],
  },
  {
    name: "reads are answered before they are done",
    create: (contents) => new AnswersTooEarly(contents),
    caughtBy: ["reads everything that it was made with"],
  },
  {
    name: "the synchronous facet reads something else",
    create: (contents) => new SynchronousReadsZero(contents),
    caughtBy: ["reads the same in both worlds"],
  },
  {
    name: "reads in flight together are mixed up",
    create: (contents) => new MixesUpReads(contents),
    caughtBy: ["answers many reads at once, each with its own bytes"],
    worlds: ["async"],
  },
];
