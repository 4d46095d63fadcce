import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { StorageMutant } from "./storage-mutant.ts";

class LosesWrites extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    super.write(IoVector.single(new Uint8Array(Math.min(1, from.length))), offset);
  }
}

class DropsLastBuffers extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    const kept = from.bufferCount > 4 ? IoVector.from(from.buffers.slice(0, -1)) : from;
    super.write(kept, offset);
  }
}

/** Writes whole sectors, without having read them before. */
class RoundsWritesUp extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    const end = offset + from.length;
    const rounded = Math.min(Math.ceil(end / 512) * 512, this.size);
    super.write(from, offset);
    if (rounded > end) {
      super.write(IoVector.single(new Uint8Array(rounded - end)), end);
    }
  }
}

class ScramblesSource extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    from.fill(0);
  }
}

/** Writes when it is next asked for something. */
class WritesLater extends MemoryStorage {
  #late: (() => void) | undefined;

  override write(from: IoVector, offset: number): void {
    this.#late?.();
    this.#late = (): void => super.write(from, offset);
    super.write(from, offset);
  }

  override read(into: IoVector, offset: number): void {
    this.#late?.();
    this.#late = undefined;
    super.read(into, offset);
  }
}

class LastWriteSetsSize extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    if (from.length > 0) {
      this.resize?.(offset + from.length);
    }
  }
}

class NeverGrows extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    const length = Math.max(0, Math.min(from.length, this.size - offset));
    super.write(from.slice(0, length), Math.min(offset, this.size));
  }
}

class RoundsSizeUp extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    const before = this.size;
    super.write(from, offset);
    if (this.size > before) {
      this.resize?.(Math.ceil(this.size / 4096) * 4096);
    }
  }
}

class GrowsByNothing extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    if (from.length === 0 && offset > this.size) {
      this.resize?.(offset);
    }
  }
}

class RubbishInGaps extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    const gap = offset - this.size;
    if (gap > 0 && gap < 2 ** 30 && from.length > 0) {
      super.write(IoVector.single(new Uint8Array(gap).fill(0xee)), this.size);
    }
    super.write(from, offset);
  }
}

class ThirtyTwoBits extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    const boundary = Math.ceil(offset / 2 ** 32) * 2 ** 32;
    if (offset > 2 ** 31 && offset + from.length > boundary) {
      super.write(from.slice(boundary - offset), 0);
    }
  }
}

class ThirtyOneBits extends MemoryStorage {
  override read(into: IoVector, offset: number): void {
    super.read(into, offset > 2 ** 31 ? Math.abs(offset | 0) : offset);
  }
}

let shared: MemoryStorage | undefined;

/** All of them have the first one's bytes. */
class SharesBytes extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    shared?.write(from, offset);
  }
}

class FirstWriteWins extends MemoryStorage {
  #written = false;

  override write(from: IoVector, offset: number): void {
    if (!this.#written || offset >= 4 * 4999 * 2) {
      super.write(from, offset);
    }
    this.#written = true;
  }
}

class SmallWritesLost extends MemoryStorage {
  override write(from: IoVector, offset: number): void {
    if (from.length > 8) {
      super.write(from, offset);
    }
  }
}

class IgnoresFixedEnd extends MemoryStorage {
  constructor(contents: Uint8Array) {
    super(contents);
    Object.defineProperty(this, "resize", { value: undefined });
    Object.defineProperty(this, "resizeSync", { value: undefined });
  }
}

/** Replaces everything, as a storage does that writes whole objects: writes in flight together are lost. */
class ReplacesEverything extends MemoryStorage {
  // what a MemoryStorage answers at once is answered late here
  // eslint-disable-next-line @typescript-eslint/no-misused-promises
  override async write(from: IoVector, offset: number): Promise<void> {
    const everything = this.toUint8Array();
    await Promise.resolve();
    const end = Math.max(everything.length, offset + from.length);
    const changed = new Uint8Array(end);
    changed.set(everything);
    from.copyIntoSlice(changed.subarray(offset, offset + from.length));
    this.resize?.(end);
    super.write(IoVector.single(changed), 0);
  }
}

/** Two writes to one place make a third thing. */
class MixesOverlappingWrites extends MemoryStorage {
  #last = { offset: -1, length: 0 };

  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    if (offset === this.#last.offset && from.length === this.#last.length) {
      super.write(IoVector.single(new Uint8Array(1)), offset);
    }
    this.#last = { offset, length: from.length };
  }
}

const growing = [
  "grows to exactly where a write across its end ends",
  "grows by a write at its very end",
  "reads zeroes in the gap that a write behind the end leaves",
  "grows from nothing",
];

export const writingMutants: readonly StorageMutant[] = [
  {
    name: "the first byte of every write becomes zero",
    create: (contents) => new LosesWrites(contents),
    caughtBy: ["keeps what is written, and everything around it", /^does what a plain array of bytes does/],
  },
  {
    name: "small writes are lost",
    create: (contents) => new SmallWritesLost(contents),
    caughtBy: ["writes the smallest requests that its limits allow"],
  },
  {
    name: "the last of many buffers is dropped",
    create: (contents) => new DropsLastBuffers(contents),
    caughtBy: ["writes from many buffers, more than one system call takes"],
  },
  {
    name: "writes are rounded up to sectors with zeroes",
    create: (contents) => new RoundsWritesUp(contents),
    caughtBy: [
      "keeps what is written, and everything around it",
      "reads what isn't being written while something else is",
    ],
  },
  {
    name: "writes change the caller's buffer",
    create: (contents) => new ScramblesSource(contents),
    caughtBy: ["keeps what is written, and everything around it"],
  },
  {
    name: "writes are done when the caller has his buffer back already",
    create: (contents) => new WritesLater(contents),
    caughtBy: ["doesn't keep the caller's buffers", "has after flush and sync what it had before"],
  },
  {
    name: "what was written once can't be overwritten",
    create: (contents) => new FirstWriteWins(contents),
    caughtBy: ["overwrites what was written, with data and with zeroes"],
  },
  {
    name: "a write inside cuts off what lies behind",
    create: (contents) => new LastWriteSetsSize(contents),
    caughtBy: [
      "leaves its size alone when it is written inside",
      "does writes to different places at once",
      "has everything of writes that make it grow at once, and the largest of their sizes",
    ],
  },
  {
    name: "writes never make it grow",
    create: (contents) => new NeverGrows(contents),
    caughtBy: growing,
  },
  {
    name: "it grows to whole pages",
    create: (contents) => new RoundsSizeUp(contents),
    caughtBy: growing,
  },
  {
    name: "a write of nothing behind the end makes it grow",
    create: (contents) => new GrowsByNothing(contents),
    caughtBy: ["writes nothing from no buffers, and doesn't grow by it"],
  },
  {
    name: "gaps are filled with rubbish",
    create: (contents) => new RubbishInGaps(contents),
    caughtBy: ["reads zeroes in the gap that a write behind the end leaves", "grows from nothing"],
  },
  {
    name: "offsets from 2^32 on are also written at the start",
    create: (contents) => new ThirtyTwoBits(contents),
    caughtBy: [/^keeps bytes around offset 0x(100000000|200000000|10000000000|80000000000|10000000000000) /],
  },
  {
    name: "offsets from 2^31 on are read elsewhere",
    create: (contents) => new ThirtyOneBits(contents),
    caughtBy: [/^keeps bytes around offset/],
  },
  {
    name: "two storages share their bytes",
    create: (contents) => {
      const previous = shared;
      shared = new MemoryStorage();
      const made = new SharesBytes(contents);
      shared = previous === undefined || previous.size > 0 ? made : previous;
      return made;
    },
    caughtBy: ["shares no bytes with another storage"],
  },
  {
    name: "its end isn't fixed",
    create: (contents) => new IgnoresFixedEnd(contents),
    manifest: { grows: false, resizes: false },
    caughtBy: ["refuses a write that ends past its fixed end, and stays as it is"],
  },
  {
    name: "writes in flight together lose each other's bytes",
    create: (contents) => new ReplacesEverything(contents),
    caughtBy: [
      "does writes to different places at once",
      "has everything of writes that make it grow at once, and the largest of their sizes",
      "flushes and syncs while it is read and written",
      "zeroes and discards while its neighbourhood is written",
    ],
    worlds: ["async"],
  },
  {
    name: "two writes to one place make a third thing",
    create: (contents) => new MixesOverlappingWrites(contents),
    caughtBy: ["has the bytes of one or the other of two writes to the same place"],
  },
];
