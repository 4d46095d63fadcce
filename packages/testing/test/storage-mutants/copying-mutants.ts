import { StorageDecorator, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { StorageManifest } from "../../src/index.ts";
import { CopyingStorage } from "./copying-storage.ts";
import { memoryManifest, type StorageMutant } from "./storage-mutant.ts";

/** What a {@link CopyingStorage} can do. */
export const copyingManifest: StorageManifest = { ...memoryManifest, copies: true };

class LeavesLastByte extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    super.put(bytes.subarray(0, -1), offset);
  }
}

class SaysMore extends CopyingStorage {
  override copyFrom(source: Storage, from: number, offset: number, length: number): number {
    return super.copyFrom(source, from, offset, length) + 1;
  }
}

class CopiesNothing extends CopyingStorage {
  protected override taken(): Uint8Array {
    return new Uint8Array(0);
  }
}

class CopiesWholeSectors extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    super.put(bytes, offset - (offset % 512));
  }
}

class StartsOverEachTime extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    return super.taken(source, from - (from % 4999), Math.min(length, 4999));
  }
}

class Moves extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    const bytes = super.taken(source, from, length);
    if (source !== this && source instanceof CopyingStorage) {
      source.write(IoVector.single(new Uint8Array(bytes.length)), from);
    }
    return bytes;
  }
}

class TakesItselfForCopied extends CopyingStorage {
  override copyFrom(source: Storage, from: number, offset: number, length: number): number {
    return source === this ? length : super.copyFrom(source, from, offset, length);
  }
}

/** Copies forwards, a sector at a time. */
class CopiesOntoItself extends CopyingStorage {
  override copyFrom(source: Storage, from: number, offset: number, length: number): number {
    let done = 0;
    while (done < length) {
      const copied = super.copyFrom(source, from + done, offset + done, Math.min(512, length - done));
      if (copied === 0) {
        break;
      }
      done += copied;
    }
    return done;
  }
}

class SkipsZeroes extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    for (let at = 0; at < bytes.length; at += 512) {
      const sector = bytes.subarray(at, at + 512);
      if (sector.some((byte) => byte !== 0)) {
        super.put(sector, offset + at);
      }
    }
  }
}

/** Zeroes holes, but only as far as it reaches already. */
class SkipsTrailingZeroes extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    const isZero = bytes.every((byte) => byte === 0);
    super.put(isZero ? bytes.subarray(0, Math.max(0, this.size - offset)) : bytes, offset);
  }
}

class StopsAtItsEnd extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    super.put(bytes.subarray(0, Math.max(0, this.size - offset)), offset);
  }
}

class AppendsWithoutGap extends CopyingStorage {
  protected override put(bytes: Uint8Array, offset: number): void {
    super.put(bytes, Math.min(offset, this.size));
  }
}

class TakesNothingForAll extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    return super.taken(source, from, length === 0 ? source.size : length);
  }
}

class GrowsByNothing extends CopyingStorage {
  override copyFrom(source: Storage, from: number, offset: number, length: number): number {
    this.resize?.(Math.max(this.size, offset + length));
    return super.copyFrom(source, from, offset, length);
  }
}

/** Copies what the other one was made with. */
class CopiesTheFirstState extends CopyingStorage {
  readonly #first: Uint8Array;

  constructor(contents: Uint8Array) {
    super(contents);
    this.#first = contents.slice();
  }

  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    const { length: copied } = super.taken(source, from, length);
    return source instanceof CopiesTheFirstState ? source.#first.slice(from, from + copied) : new Uint8Array(0);
  }
}

/** Reads what it copied when that is asked for. */
class CopiesLate extends CopyingStorage {
  #late: { readonly source: Storage; readonly from: number; readonly offset: number; readonly length: number }[] = [];

  override copyFrom(source: Storage, from: number, offset: number, length: number): number {
    const copied = super.copyFrom(source, from, offset, length);
    if (source !== this) {
      this.#late.push({ source, from, offset, length: copied });
    }
    return copied;
  }

  override read(into: IoVector, offset: number): void {
    for (const { source, from, offset: target, length } of this.#late.splice(0)) {
      super.copyFrom(source, from, target, length);
    }
    super.read(into, offset);
  }
}

class RubbishPastTheEnd extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length).fill(0xee);
    bytes.set(super.taken(source, from, length));
    return bytes;
  }
}

class LooksBehindDecorators extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    return super.taken(source instanceof StorageDecorator ? (source.inner as Storage) : source, from, length);
  }
}

class ZeroesForStrangers extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    return source instanceof CopyingStorage ? super.taken(source, from, length) : new Uint8Array(length);
  }
}

class ZeroesForClosed extends CopyingStorage {
  protected override taken(source: Storage, from: number, length: number): Uint8Array {
    try {
      return super.taken(source, from, length);
    } catch {
      return new Uint8Array(length);
    }
  }
}

/** Copies by writing all that it holds. */
class ReplacesEverything extends CopyingStorage {
  // what a CopyingStorage answers at once is answered late here
  // @ts-expect-error the contract allows a promise
  override async copyFrom(source: Storage, from: number, offset: number, length: number): Promise<number> {
    const everything = this.toUint8Array();
    await Promise.resolve();
    const copied = super.copyFrom(source, from, offset, length);
    this.write(IoVector.single(everything.subarray(0, offset)), 0);
    return copied;
  }
}

class CopiesWhenClosed extends CopyingStorage {
  override copyFrom(_source: Storage, _from: number, _offset: number, _length: number): number {
    return 0;
  }
}

class WritableByCopying extends StorageDecorator<CopyingStorage> {
  override get writable(): boolean {
    return false;
  }

  copyFrom(source: Storage, from: number, offset: number, length: number): number {
    return this.inner.copyFrom(source instanceof WritableByCopying ? source.inner : source, from, offset, length);
  }

  copyFromSync(source: Storage, from: number, offset: number, length: number): number {
    return this.copyFrom(source, from, offset, length);
  }
}

const anyRange = "copies any range of another storage to any place, and leaves that one as it is";
const holes = "copies the holes of another storage as zeroes";
const grows = "grows by what is copied past its end, and reads zeroes in the gap before";
const justBefore = "copies what was written to the other storage just before, and keeps it when that one changes";
const empty = "copies nothing when the range is empty, and doesn't grow by it";
const strangers = "copies from storages of other kinds what they read as, or nothing";
const program = /^does what a plain array of bytes does/;

const mutants: readonly Omit<StorageMutant, "manifest">[] = [
  {
    name: "the last byte of a copy is missing",
    create: (contents) => new LeavesLastByte(contents),
    caughtBy: [anyRange, program, "copies its own bytes to another place of its own"],
  },
  {
    name: "it says that it has copied more than it was told to",
    create: (contents) => new SaysMore(contents),
    caughtBy: [anyRange, empty],
  },
  {
    name: "nothing is ever copied",
    create: (contents) => new CopiesNothing(contents),
    caughtBy: [anyRange, program],
  },
  {
    name: "copies begin at sectors",
    create: (contents) => new CopiesWholeSectors(contents),
    caughtBy: [anyRange, program],
  },
  {
    name: "a copy that goes on begins elsewhere",
    create: (contents) => new StartsOverEachTime(contents),
    caughtBy: [anyRange],
  },
  {
    name: "what is copied is gone from where it was",
    create: (contents) => new Moves(contents),
    caughtBy: [anyRange],
  },
  {
    name: "its own bytes aren't copied",
    create: (contents) => new TakesItselfForCopied(contents),
    caughtBy: ["copies its own bytes to another place of its own"],
  },
  {
    name: "overlapping ranges are copied onto themselves",
    create: (contents) => new CopiesOntoItself(contents),
    caughtBy: ["copies overlapping ranges of its own as if it had read them before, or refuses to"],
  },
  {
    name: "zeroes aren't copied",
    create: (contents) => new SkipsZeroes(contents),
    caughtBy: [holes, anyRange],
  },
  {
    name: "it doesn't grow by zeroes that are copied to its end",
    create: (contents) => new SkipsTrailingZeroes(contents),
    caughtBy: [holes],
  },
  {
    name: "copies end where it ends",
    create: (contents) => new StopsAtItsEnd(contents),
    caughtBy: [grows],
  },
  {
    name: "copies past its end come to its end",
    create: (contents) => new AppendsWithoutGap(contents),
    caughtBy: [grows],
  },
  {
    name: "an empty range means all",
    create: (contents) => new TakesNothingForAll(contents),
    caughtBy: [empty],
  },
  {
    name: "a copy of nothing behind the end makes it grow",
    create: (contents) => new GrowsByNothing(contents),
    caughtBy: [empty],
  },
  {
    name: "what the other storage was made with is copied",
    create: (contents) => new CopiesTheFirstState(contents),
    caughtBy: [justBefore],
  },
  {
    name: "copies are made when they are read",
    create: (contents) => new CopiesLate(contents),
    caughtBy: [justBefore],
  },
  {
    name: "rubbish is copied from where the other storage has ended",
    create: (contents) => new RubbishPastTheEnd(contents),
    caughtBy: ["copies zeroes or nothing from where the other storage has ended"],
  },
  {
    name: "copies are made of what lies behind a decorator",
    create: (contents) => new LooksBehindDecorators(contents),
    caughtBy: [strangers],
  },
  {
    name: "storages of other kinds are taken for empty",
    create: (contents) => new ZeroesForStrangers(contents),
    caughtBy: [strangers],
  },
  {
    name: "closed storages are taken for empty",
    create: (contents) => new ZeroesForClosed(contents),
    caughtBy: ["copies nothing of a storage that is closed, or refuses to with ERR_IMG_CLOSED"],
  },
  {
    name: "copies undo what is written meanwhile",
    create: (contents) => new ReplacesEverything(contents),
    caughtBy: ["copies to several places at once while its neighbourhood is written"],
    worlds: ["async"],
  },
  {
    name: "it answers requests to copy when it is closed",
    create: (contents) => new CopiesWhenClosed(contents),
    caughtBy: ["refuses copyFrom with ERR_IMG_CLOSED after it was closed"],
  },
  {
    name: "copies change it when it is read-only",
    create: (contents) => new CopyingStorage(contents),
    readOnly: (contents) => new WritableByCopying(new CopyingStorage(contents)),
    caughtBy: ["refuses copyFrom with ERR_IMG_READ_ONLY when it is read-only, and stays as it is"],
  },
  {
    name: "copies can't be made in the synchronous world",
    create: (contents) => Object.defineProperty(new CopyingStorage(contents), "copyFromSync", { value: undefined }),
    caughtBy: ["has every method in both worlds if it has the synchronous facet"],
  },
];

/** Storages that copy, and break a promise in doing so. */
export const copyingMutants: readonly StorageMutant[] = mutants.map((each) => ({ ...each, manifest: copyingManifest }));
