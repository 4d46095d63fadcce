import {
  guestOffset,
  hostOffset,
  type FormatAccess,
  type HostPlace,
  type Io,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import type { L1Source } from "../tables/l1-entry.ts";
import type { L2EntryLayout } from "../tables/l2-entry.ts";
import type { SliceSource } from "../tables/slice-source.ts";
import { Piece } from "./piece.ts";

/** The tables that a {@link ClusterMap} looks into. What isn't `readonly` may change while the image is written. */
export interface MappedTables {
  readonly l1: L1Source;
  /** Gives slices of L2 tables. */
  readonly l2: SliceSource;
  readonly layout: L2EntryLayout;
  /** Size of the disk, bytes. */
  size: number;
}

/** What a {@link ClusterMap} is made of. */
export interface ClusterMapParts {
  readonly tables: MappedTables;
  /** Where data clusters are. */
  readonly data: Storage;
  readonly backing: FormatAccess | null;
  readonly writable: boolean;
}

const eof: ShallowMapping = { kind: "eof", length: 0 };

/** Finds out where guest offsets are, by the L1 and L2 tables. */
export class ClusterMap {
  readonly #parts: ClusterMapParts;
  readonly #tables: MappedTables;
  /** Bytes of guest disk that one L2 table maps. */
  readonly #coverage: number;
  /** L2 entries in one slice. */
  readonly #sliceEntries: number;
  // reused by every look-up: decoding is synchronous and nothing keeps them
  readonly #first = new Piece();
  readonly #next = new Piece();

  constructor(parts: ClusterMapParts) {
    this.#parts = parts;
    this.#tables = parts.tables;
    const { clusterSize, entryLength } = parts.tables.layout;
    this.#coverage = (clusterSize / entryLength) * clusterSize;
    this.#sliceEntries = parts.tables.l2.sliceLength / entryLength;
  }

  /** Where `offset` is, if the tables that tell are in memory. */
  peek(offset: number, maxLength: number): ShallowMapping | undefined {
    const length = Math.min(maxLength, this.#tables.size - offset);
    if (length <= 0) {
      return eof;
    }
    const l1Entry = this.#tables.l1.peek(Math.floor(offset / this.#coverage));
    if (l1Entry === undefined) {
      return undefined;
    }
    if (l1Entry.l2Offset === 0) {
      return this.#withoutTable(offset, length);
    }
    const table = this.#tables.l2.peek(this.#sliceOffset(offset, l1Entry.l2Offset));
    return table === undefined ? undefined : this.#map(table.view, offset, length);
  }

  /** Where `offset` is. Reads at most one part of the L1 and one of an L2 table. */
  *get(offset: number, maxLength: number): Io<ShallowMapping> {
    const length = Math.min(maxLength, this.#tables.size - offset);
    if (length <= 0) {
      return eof;
    }
    const { l2Offset } = yield* this.#tables.l1.get(Math.floor(offset / this.#coverage));
    if (l2Offset === 0) {
      return this.#withoutTable(offset, length);
    }
    const table = yield* this.#tables.l2.get(this.#sliceOffset(offset, l2Offset));
    return this.#map(table.view, offset, length);
  }

  /**
   * The L2 entry of the cluster at `offset`, as halves of its first 64 bits; `undefined`: there is no L2 table.
   */
  *entry(offset: number): Io<{ readonly high: number; readonly low: number } | undefined> {
    const { l2Offset } = yield* this.#tables.l1.get(Math.floor(offset / this.#coverage));
    if (l2Offset === 0) {
      return undefined;
    }
    const { view } = yield* this.#tables.l2.get(this.#sliceOffset(offset, l2Offset));
    const at = this.#indexInSlice(offset) * this.#tables.layout.entryLength;
    return { high: view.getUint32(at), low: view.getUint32(at + 4) };
  }

  /** Decodes what the table says about one cluster; `undefined`: there is no L2 table. The piece is the caller's until the next call. */
  *piece(offset: number): Io<Piece | undefined> {
    const { l2Offset } = yield* this.#tables.l1.get(Math.floor(offset / this.#coverage));
    if (l2Offset === 0) {
      return undefined;
    }
    const { view } = yield* this.#tables.l2.get(this.#sliceOffset(offset, l2Offset));
    this.#decode(this.#first, view, offset);
    return this.#first;
  }

  #withoutTable(offset: number, length: number): ShallowMapping {
    const rest = this.#coverage - (offset % this.#coverage);
    return this.#unallocated(offset, Math.min(length, rest), undefined);
  }

  #map(view: DataView, offset: number, length: number): ShallowMapping {
    const first = this.#first;
    this.#decode(first, view, offset);
    const mapped = Math.min(length, this.#runLength(view, offset, length));
    switch (first.kind) {
      case "data":
        return {
          kind: "raw",
          storage: this.#parts.data,
          offset: hostOffset(first.host),
          length: mapped,
          writable: this.#parts.writable && first.copied,
        };
      case "zero":
        return { kind: "zero", length: mapped, explicit: true, ...reserved(this.#place(first)) };
      case "compressed":
        return { kind: "special", offset: guestOffset(offset), length: mapped, compressed: true };
      case "unallocated":
        return this.#unallocated(offset, mapped, this.#place(first));
    }
  }

  #unallocated(offset: number, length: number, place: HostPlace | undefined): ShallowMapping {
    const { backing } = this.#parts;
    return backing === null
      ? { kind: "zero", length, explicit: false, ...reserved(place) }
      : { kind: "indirect", layer: backing, offset: guestOffset(offset), length, writable: false, ...reserved(place) };
  }

  #place(piece: Piece): HostPlace | undefined {
    return piece.hasHost ? { storage: this.#parts.data, offset: hostOffset(piece.host) } : undefined;
  }

  /** How far what `#first` says goes on inside of the slice, bytes; stops looking at `length`. */
  #runLength(view: DataView, offset: number, length: number): number {
    const first = this.#first;
    const next = this.#next;
    const { clusterSize } = this.#tables.layout;
    const end = offset - (offset % clusterSize) + (this.#sliceEntries - this.#indexInSlice(offset)) * clusterSize;
    let run = first.length;
    while (run < length && offset + run < end) {
      this.#decode(next, view, offset + run);
      if (!continues(first, next, run, this.#parts.writable)) {
        break;
      }
      run += next.length;
    }
    return run;
  }

  #decode(piece: Piece, view: DataView, offset: number): void {
    const { layout } = this.#tables;
    const within = offset % layout.clusterSize;
    piece.decode(view, this.#indexInSlice(offset), within, offset - within, layout);
  }

  /** Index of the entry in its L2 table. */
  #tableIndex(offset: number): number {
    return Math.floor((offset % this.#coverage) / this.#tables.layout.clusterSize);
  }

  #indexInSlice(offset: number): number {
    return this.#tableIndex(offset) % this.#sliceEntries;
  }

  #sliceOffset(offset: number, l2Offset: number): number {
    const slice = Math.floor(this.#tableIndex(offset) / this.#sliceEntries);
    return l2Offset + slice * this.#tables.l2.sliceLength;
  }
}

function reserved(place: HostPlace | undefined): { reserved?: HostPlace } {
  return place === undefined ? {} : { reserved: place };
}

/** Whether `next`, `distance` bytes behind the start of `first`, says the same as `first`. */
function continues(first: Piece, next: Piece, distance: number, writable: boolean): boolean {
  if (next.kind !== first.kind) {
    return false;
  }
  if (first.kind === "compressed") {
    return true;
  }
  if (next.hasHost !== first.hasHost || (first.hasHost && next.host !== first.host + distance)) {
    return false;
  }
  return first.kind !== "data" || !writable || next.copied === first.copied;
}
