import { MemoryStorage, type Extent, type StoragePreallocation, type WriteZeroesOptions } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { StorageMutant } from "./storage-mutant.ts";

class ZeroesTooLittle extends MemoryStorage {
  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    super.writeZeroes(offset, Math.max(0, length - 1), options);
  }
}

class ZeroesTooMuch extends MemoryStorage {
  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    const end = Math.max(offset + length, Math.min(this.size, Math.ceil((offset + length) / 512) * 512));
    super.writeZeroes(offset, length === 0 ? 0 : end - offset, options);
  }
}

class IgnoresAllocate extends MemoryStorage {
  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    if (options?.allocate !== true) {
      super.writeZeroes(offset, length, options);
    }
  }
}

class ZeroingCutsOff extends MemoryStorage {
  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    super.writeZeroes(offset, length, options);
    if (offset + length > this.size - 4096) {
      this.resize?.(Math.max(offset, 0));
    }
  }
}

class ZeroingNothingZeroesAll extends MemoryStorage {
  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    super.writeZeroes(offset, length === 0 ? this.size - offset : length, options);
  }
}

/** What was zeroed stays zero. */
class ZeroesForEver extends MemoryStorage {
  #zeroed: readonly [start: number, end: number] = [0, 0];

  override writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    super.writeZeroes(offset, length, options);
    this.#zeroed = [offset, offset + length];
  }

  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    const start = Math.max(0, this.#zeroed[0] - offset);
    const end = Math.min(into.length, this.#zeroed[1] - offset);
    if (start < end) {
      into.fill(0, start, end);
    }
  }
}

class DiscardCutsOff extends MemoryStorage {
  override discard(offset: number, length: number): void {
    super.discard(offset, length);
    if (offset < this.size && offset + length >= this.size - this.limits.discard) {
      this.resize?.(offset);
    }
  }
}

class DiscardGrows extends MemoryStorage {
  override discard(offset: number, length: number): void {
    super.discard(offset, length);
    if (offset + length > this.size) {
      this.resize?.(offset + length);
    }
  }
}

class DiscardsNeighbours extends MemoryStorage {
  override discard(offset: number, length: number): void {
    const start = offset - (offset % 512);
    const end = Math.min(this.size, Math.ceil((offset + length) / 512) * 512);
    super.writeZeroes(start, Math.max(0, end - start));
  }
}

class DiscardsNothing extends MemoryStorage {
  override discard(offset: number, length: number): void {
    if (length === 0) {
      throw new RangeError("nothing to discard");
    }
    super.discard(offset, length);
  }
}

class WritesAfterDiscardLost extends MemoryStorage {
  #discarded = 0;

  override discard(offset: number, length: number): void {
    super.discard(offset, length);
    this.#discarded = offset + length;
  }

  override write(from: IoVector, offset: number): void {
    if (offset >= this.#discarded) {
      super.write(from, offset);
    }
  }
}

/** Extents as some answer would have them. */
function withExtents(answer: (extents: readonly Extent[], offset: number, length: number) => readonly Extent[]) {
  return class extends MemoryStorage {
    override extents(offset: number, length: number): readonly Extent[] {
      return answer(super.extents(offset, length), offset, length);
    }
  };
}

const WithGaps = withExtents((extents) =>
  extents.flatMap(({ kind, offset, length }) => [
    { kind, offset, length: 1 },
    ...(length > 2 ? [{ kind, offset: offset + 2, length: length - 2 }] : []),
  ]),
);
const FromElsewhere = withExtents((extents) => extents.map((extent) => ({ ...extent, offset: extent.offset + 1 })));
const TooLong = withExtents((extents) => extents.map((extent) => ({ ...extent, length: extent.length + 1 })));
const Empty = withExtents((extents, offset) => [{ kind: "hole", offset, length: 0 }, ...extents]);
const AllHoles = withExtents((_, offset, length) => (length === 0 ? [] : [{ kind: "hole", offset, length }]));
const AllData = withExtents((_, offset, length) => (length === 0 ? [] : [{ kind: "data", offset, length }]));

/** Knows the holes that there were in the beginning, and believes that they still are. */
class StaleHoles extends MemoryStorage {
  #first: readonly Extent[] | undefined;

  override extents(offset: number, length: number): readonly Extent[] {
    if (offset !== 0) {
      return super.extents(offset, length);
    }
    return (this.#first ??= this.#zeroRun(length));
  }

  #zeroRun(length: number): readonly Extent[] {
    const bytes = this.toUint8Array().subarray(0, length);
    const start = bytes.indexOf(0);
    const end = start + bytes.subarray(start).findIndex((byte) => byte !== 0);
    return [
      { kind: "data", offset: 0, length: start },
      { kind: "hole", offset: start, length: end - start },
      { kind: "data", offset: end, length: length - end },
    ];
  }
}

/** A gap is a hole, and so is what lies around it. */
class HolesTooLarge extends MemoryStorage {
  readonly #before = this.size;

  override extents(offset: number, length: number): readonly Extent[] {
    const start = Math.max(0, this.#before - 100);
    if (this.size <= this.#before || offset !== 0) {
      return super.extents(offset, length);
    }
    return [
      { kind: "data", offset: 0, length: start },
      { kind: "hole", offset: start, length: length - start },
    ];
  }
}

class NegativeAllocation extends MemoryStorage {
  override allocatedSize(): number {
    return -1;
  }
}

/** Grows with rubbish when the way to grow is one of these. */
function rubbishWhen(...modes: readonly (StoragePreallocation | undefined)[]) {
  return class extends MemoryStorage {
    override resize(size: number, preallocation?: StoragePreallocation): void {
      const before = this.size;
      super.resize?.(size, preallocation);
      if (size > before && modes.includes(preallocation)) {
        super.write(IoVector.single(new Uint8Array(1).fill(0xee)), size - 1);
      }
    }
  };
}

const RubbishWhenZero = rubbishWhen("zero");
const RubbishWhenAllocate = rubbishWhen("allocate");
const RubbishWhenWrite = rubbishWhen("write");

class ResizeCutsOff extends MemoryStorage {
  override resize(size: number, preallocation?: StoragePreallocation): void {
    super.resize?.(0);
    super.resize?.(size, preallocation);
  }
}

class NeverShrinks extends MemoryStorage {
  override resize(size: number, preallocation?: StoragePreallocation): void {
    super.resize?.(Math.max(size, this.size), preallocation);
  }
}

/** Only notes its new size; the bytes behind stay, and are seen again when it grows. */
class KeepsCutOff extends MemoryStorage {
  #limit: number | undefined;

  override get size(): number {
    return this.#limit ?? super.size;
  }

  override read(into: IoVector, offset: number): void {
    super.read(into, offset);
    into.fill(0, Math.max(0, Math.min(into.length, this.size - offset)));
  }

  override write(from: IoVector, offset: number): void {
    super.write(from, offset);
    if (this.#limit !== undefined) {
      this.#limit = Math.max(this.#limit, offset + from.length);
    }
  }

  override resize(size: number, preallocation?: StoragePreallocation): void {
    super.resize?.(Math.max(size, super.size), preallocation);
    this.#limit = size;
  }
}

class RefusesPreallocation extends MemoryStorage {
  override resize(size: number, preallocation?: StoragePreallocation): void {
    if (preallocation !== undefined && preallocation !== "zero") {
      throw new TypeError(`what is ${preallocation}`);
    }
    super.resize?.(size, preallocation);
  }
}

class ResizeForgetsMore extends MemoryStorage {
  #resized = false;

  override resize(size: number, preallocation?: StoragePreallocation): void {
    super.resize?.(size, preallocation);
    this.#resized = true;
  }

  override write(from: IoVector, offset: number): void {
    if (!this.#resized) {
      super.write(from, offset);
    }
  }
}

class NeverEmpty extends MemoryStorage {
  override resize(size: number, preallocation?: StoragePreallocation): void {
    super.resize?.(Math.max(1, size), preallocation);
  }
}

export const spaceMutants: readonly StorageMutant[] = [
  {
    name: "zeroing leaves the last byte",
    create: (contents) => new ZeroesTooLittle(contents),
    caughtBy: [/^zeroes exactly the range/, /^zeroes the smallest range/],
  },
  {
    name: "zeroing goes on to the end of the sector",
    create: (contents) => new ZeroesTooMuch(contents),
    caughtBy: [/^zeroes exactly the range/],
  },
  {
    name: "zeroing does nothing when space is to be kept",
    create: (contents) => new IgnoresAllocate(contents),
    caughtBy: ["zeroes exactly the range that it is told to, keeping its space"],
  },
  {
    name: "zeroing at the end cuts it off",
    create: (contents) => new ZeroingCutsOff(contents),
    caughtBy: ["is as long as before, or as the range says, after zeroing past its end"],
  },
  {
    name: "zeroing nothing zeroes everything",
    create: (contents) => new ZeroingNothingZeroesAll(contents),
    caughtBy: ["zeroes nothing when the range is empty"],
  },
  {
    name: "what was zeroed stays zero",
    create: (contents) => new ZeroesForEver(contents),
    caughtBy: ["takes writes where it was zeroed"],
  },
  {
    name: "discarding the end cuts it off",
    create: (contents) => new DiscardCutsOff(contents),
    caughtBy: [
      "keeps its size when all of it is discarded",
      "keeps its size when its end is discarded, and what lies behind",
    ],
  },
  {
    name: "discarding behind the end makes it grow",
    create: (contents) => new DiscardGrows(contents),
    caughtBy: ["keeps its size when its end is discarded, and what lies behind"],
  },
  {
    name: "discarding loses what lies around",
    create: (contents) => new DiscardsNeighbours(contents),
    caughtBy: ["keeps its size and everything around a range that is discarded"],
  },
  {
    name: "discarding nothing is refused",
    create: (contents) => new DiscardsNothing(contents),
    caughtBy: ["discards nothing when the range is empty"],
  },
  {
    name: "what is written where it was discarded is lost",
    create: (contents) => new WritesAfterDiscardLost(contents),
    caughtBy: ["takes writes where it was discarded"],
  },
  {
    name: "extents have gaps",
    create: (contents) => new WithGaps(contents),
    caughtBy: [/^gives extents in order/],
  },
  {
    name: "extents begin elsewhere",
    create: (contents) => new FromElsewhere(contents),
    caughtBy: [/^gives extents in order/],
  },
  {
    name: "extents are too long",
    create: (contents) => new TooLong(contents),
    caughtBy: [/^gives extents in order/],
  },
  {
    name: "extents are empty",
    create: (contents) => new Empty(contents),
    caughtBy: [/^gives extents in order/],
  },
  {
    name: "everything is called a hole",
    create: (contents) => new AllHoles(contents),
    caughtBy: [/^never calls data a hole/],
  },
  {
    name: "holes are remembered though they were written",
    create: (contents) => new StaleHoles(contents),
    caughtBy: ["never calls data a hole after it was written, zeroed and discarded"],
  },
  {
    name: "the hole behind a gap reaches into data",
    create: (contents) => new HolesTooLarge(contents),
    caughtBy: ["never calls data a hole behind a gap"],
  },
  {
    name: "nothing is called a hole",
    create: (contents) => new AllData(contents),
    caughtBy: ["knows that a large gap is a hole"],
  },
  {
    name: "it takes less than no space",
    create: (contents) => new NegativeAllocation(contents),
    caughtBy: ["tells how much of the host's medium it takes"],
  },
  {
    name: "growing with zeroes brings rubbish",
    create: (contents) => new RubbishWhenZero(contents),
    caughtBy: ["grows by resize with preallocation zero", "shrinks to nothing and grows from nothing"],
  },
  {
    name: "growing with space brings rubbish",
    create: (contents) => new RubbishWhenAllocate(contents),
    caughtBy: ["grows by resize with preallocation allocate"],
  },
  {
    name: "growing by writing brings rubbish",
    create: (contents) => new RubbishWhenWrite(contents),
    caughtBy: ["grows by resize with preallocation write"],
  },
  {
    name: "resizing loses everything",
    create: (contents) => new ResizeCutsOff(contents),
    caughtBy: [
      "grows by resize with preallocation none",
      "grows by resize when no preallocation is named",
      "stays as it is when it is resized to its own size",
      "has the size that it was given when it is opened again",
    ],
  },
  {
    name: "it never gets smaller",
    create: (contents) => new NeverShrinks(contents),
    caughtBy: ["shrinks by resize, and reads zeroes behind its new end"],
  },
  {
    name: "what was cut off comes back",
    create: (contents) => new KeepsCutOff(contents),
    caughtBy: [
      "doesn't bring back what was cut off when it grows by resize again",
      "doesn't bring back what was cut off when a write behind the end makes it grow",
    ],
  },
  {
    name: "it doesn't know the ways to grow",
    create: (contents) => new RefusesPreallocation(contents),
    caughtBy: [/^grows by resize with preallocation (none|allocate|write)/],
  },
  {
    name: "nothing can be written after it was resized",
    create: (contents) => new ResizeForgetsMore(contents),
    caughtBy: ["takes writes in what it gained by resize"],
  },
  {
    name: "it always keeps a byte",
    create: (contents) => new NeverEmpty(contents),
    caughtBy: ["shrinks to nothing and grows from nothing"],
  },
];
