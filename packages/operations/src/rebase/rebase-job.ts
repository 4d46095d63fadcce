import {
  alignDown,
  guestOffset,
  type FormatAccess,
  type GuestOffset,
  type HandledRange,
  type Io,
  type Mapping,
  type Storage,
} from "@img/format-core";
import type { BackingReference } from "@img/qcow2";
import { IoVector, isZero } from "@img/io-vector";
import { firstDifference } from "#first-difference";
import { SourceDisk } from "../convert/source-disk.ts";

/** What a driver of a format has beside the rest whose images name others below them. `rebase` runs it with the image to itself. */
export interface RebasingDriver {
  /** Names another image below, or none. */
  changeBacking(backing: BackingReference | null): Io<void>;
  /**
   * As `ensureZeroMapping`, and says so even if nothing is below. Under a shared lease.
   * @returns what was marked; `length` 0: nothing can be
   */
  hideBelow(offset: GuestOffset, length: number): Io<HandledRange>;
}

/** Most bytes that are compared at once. */
const chunkSize = 1024 * 1024;

/** Blocks of images that have none, bytes. */
const defaultBlock = 65536;

/** An image below, as far as the one above reaches. */
interface Below {
  readonly disk: SourceDisk;
  readonly image: FormatAccess;
}

/** A part of a range below an image. */
interface BelowRun {
  /** Known to be zero, without being read. */
  readonly zero: boolean;
  /** Bytes, ≥ 1. */
  readonly length: number;
  readonly mapping: Mapping | undefined;
}

/**
 * Copies into an image what it shows of the one below it and wouldn't show of another one: block by block, and nothing of what it has itself.
 */
export class RebaseJob {
  readonly #image: FormatAccess;
  readonly #driver: RebasingDriver;
  readonly #old: Below | undefined;
  readonly #new: Below | undefined;
  readonly #block: number;
  readonly #buffers = { old: new Uint8Array(chunkSize), new: new Uint8Array(chunkSize) };
  /** Bytes of the disk that are dealt with. */
  done = 0;
  /** Bytes that were written, zeroes included. */
  written = 0;

  /** @param next - the image that is to be below; `undefined`: none */
  constructor(image: FormatAccess, driver: RebasingDriver, next: FormatAccess | undefined) {
    this.#image = image;
    this.#driver = driver;
    this.#old = below(image.driver.backing ?? undefined);
    this.#new = below(next);
    this.#block = image.driver.compressedBlockSize ?? defaultBlock;
  }

  /** Deals with one part; `false`: nothing is left. */
  *step(): Io<boolean> {
    const start = this.done;
    const { size } = this.#image;
    if (start >= size) {
      return false;
    }
    const own = yield* this.#image.io.getShallowMapping(start, size - start);
    const isOwn = own.kind === "raw" || own.kind === "special" || (own.kind === "zero" && own.explicit);
    const length = isOwn ? own.length : yield* this.#compare(start, Math.min(own.length, size - start));
    this.done = Math.min(start + length, size);
    return true;
  }

  /** Deals with the beginning of a range that the image doesn't have; returns its length. */
  *#compare(start: number, length: number): Io<number> {
    const old = yield* runAt(this.#old, start, length);
    const next = yield* runAt(this.#new, start, old.length);
    const both = Math.min(old.length, next.length);
    if ((old.zero && next.zero) || isSamePlace(old.mapping, next.mapping)) {
      return both;
    }
    const end = Math.min(start + both, alignDown(start, chunkSize) + chunkSize);
    const shown = yield* this.#read(this.#buffers.old, this.#old, old.zero, start, end);
    const other = yield* this.#read(this.#buffers.new, this.#new, next.zero, start, end);
    yield* this.#copyDifferences(shown, other, start);
    return end - start;
  }

  *#read(buffer: Uint8Array, from: Below | undefined, zero: boolean, start: number, end: number): Io<Uint8Array> {
    const part = buffer.subarray(0, end - start);
    if (zero || from === undefined) {
      part.fill(0);
    } else {
      // bytes past the disk's end read as zero
      yield* from.image.io.read(IoVector.single(part), start);
    }
    return part;
  }

  *#hide(offset: number, length: number): Io<void> {
    if (this.#old === undefined) {
      yield* hideBelow(this.#image, this.#driver, offset, length);
    } else {
      yield* this.#image.io.writeZeroes(offset, length);
    }
  }

  *#copyDifferences(shown: Uint8Array, other: Uint8Array, start: number): Io<void> {
    for (let at = 0; at < shown.length;) {
      const end = Math.min(alignDown(start + at, this.#block) + this.#block - start, shown.length);
      const part = shown.subarray(at, end);
      if (firstDifference(part, other.subarray(at, end), end - at) < end - at) {
        if (isZero(part)) {
          yield* this.#hide(start + at, part.length);
        } else {
          yield* this.#image.io.write(IoVector.single(part), start + at);
        }
        this.written += part.length;
      }
      at = end;
    }
  }
}

/** With nothing below, zeroes go without saying; they have to be said before there is something. */
function* hideBelow(image: FormatAccess, driver: RebasingDriver, offset: number, length: number): Io<void> {
  let at = offset;
  while (at < offset + length) {
    const hidden = yield* image.io.shared(() => driver.hideBelow(guestOffset(at), offset + length - at));
    const start = hidden.length === 0 ? offset + length : hidden.offset;
    if (start > at) {
      // what can't be marked
      yield* image.io.write(IoVector.single(new Uint8Array(start - at)), at);
    }
    at = start + hidden.length;
  }
}

function below(image: FormatAccess | undefined): Below | undefined {
  return image === undefined ? undefined : { image, disk: new SourceDisk([image]) };
}

function* runAt(from: Below | undefined, start: number, length: number): Io<BelowRun> {
  const left = from === undefined ? 0 : from.disk.size - start;
  if (from === undefined || left <= 0) {
    return { zero: true, length, mapping: undefined };
  }
  const { zero, length: found } = yield* from.disk.runAt(start, Math.min(length, left));
  const mapping = zero ? undefined : yield* from.disk.mappingAt(start, found);
  return { zero, length: found, mapping };
}

/** Whether both are the same bytes of the same file, whatever these are. */
function isSamePlace(a: Mapping | undefined, b: Mapping | undefined): boolean {
  return a?.kind === "raw" && b?.kind === "raw" && a.offset === b.offset && isSameStorage(a.storage, b.storage);
}

function isSameStorage(a: Storage, b: Storage): boolean {
  return a === b || (a.identity !== undefined && a.identity === b.identity);
}
