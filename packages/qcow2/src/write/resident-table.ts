import { IoVector } from "@img/io-vector";
import { Mutex, readStorage, writeStorage, type Io, type Storage } from "@img/format-core";
import { Table } from "../tables/table.ts";

/** What is written at once, so that a power cut can't tear an entry: a sector. */
const unit = 512;

/**
 * A table of 8-byte entries that is held in memory as a whole while the image is written: the L1 table, the refcount table. Changes are
 * written by sectors, and only the sectors that changed.
 */
export class ResidentTable {
  readonly #storage: Storage;
  /** Host offset, bytes. */
  readonly offset: number;
  /** Entries. */
  readonly length: number;
  readonly #table: Table;
  readonly #dirty = new Set<number>();
  readonly #writing = new Mutex("a table that is being written");

  /** @param bytes - the table's contents, 8 bytes an entry; kept and changed */
  constructor(storage: Storage, offset: number, bytes: Uint8Array) {
    this.#storage = storage;
    this.offset = offset;
    this.length = bytes.length / 8;
    this.#table = new Table(bytes);
  }

  /** Reads a table of `length` entries. */
  static *load(storage: Storage, offset: number, length: number): Io<ResidentTable> {
    const bytes = new Uint8Array(length * 8);
    yield* readStorage(storage, IoVector.from(bytes), offset);
    return new ResidentTable(storage, offset, bytes);
  }

  /** The table's bytes, big-endian, with all changes. */
  get bytes(): Uint8Array {
    return this.#table.bytes;
  }

  get view(): DataView {
    return this.#table.view;
  }

  /** Whether there are changes that aren't known to be written: that are left, or that are being written just now. */
  get isDirty(): boolean {
    return this.#dirty.size > 0 || this.#writing.isHeld;
  }

  /** Changes an entry, given as halves. */
  set(index: number, high: number, low: number): void {
    this.#table.view.setUint32(index * 8, high);
    this.#table.view.setUint32(index * 8 + 4, low);
    this.#dirty.add(Math.floor((index * 8) / unit));
  }

  /**
   * Takes what is changed now, and writes it after `prepare` has made durable what these entries point at. Changes that come
   * meanwhile are left for the next time: what they point at may not be durable. What somebody else is writing is waited for: whoever
   * calls relies on it as well, and of two writes of one sector, the older one could come last.
   */
  *write(prepare: () => Io<void>): Io<void> {
    yield* this.#writing.run(() => this.#write(prepare));
  }

  *#write(prepare: () => Io<void>): Io<void> {
    if (this.#dirty.size === 0) {
      return;
    }
    const sectors = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    const parts = runs(sectors).map(({ first, count }) => ({
      offset: this.offset + first * unit,
      bytes: this.#table.bytes.slice(first * unit, (first + count) * unit),
    }));
    let written = false;
    try {
      yield* prepare();
      for (const part of parts) {
        yield* writeStorage(this.#storage, IoVector.from(part.bytes), part.offset);
      }
      written = true;
    } finally {
      if (!written) {
        for (const sector of sectors) {
          this.#dirty.add(sector);
        }
      }
    }
  }
}

function runs(sorted: readonly number[]): { first: number; count: number }[] {
  const found: { first: number; count: number }[] = [];
  for (const each of sorted) {
    const last = found.at(-1);
    if (last !== undefined && last.first + last.count === each) {
      last.count++;
    } else {
      found.push({ first: each, count: 1 });
    }
  }
  return found;
}
