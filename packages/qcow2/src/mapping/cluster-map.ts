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
import { compressedCluster, compressedFlag, type CompressedCluster, type L2EntryLayout } from "../tables/l2-entry.ts";
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

/** Bytes of an L2 entry that isn't extended. */
const standardEntryLength = 8;

const eof: ShallowMapping = { kind: "eof", length: 0 };

/**
 * Finds out where guest offsets are, by the L1 and L2 tables.
 *
 * All lengths here are powers of two, so dividing offsets by them is exact, and far faster than `%`, which for numbers past 2^31 is a call.
 */
export class ClusterMap {
  readonly #parts: ClusterMapParts;
  readonly #tables: MappedTables;
  readonly #clusterSize: number;
  /** Bytes of guest disk that one L2 table maps. */
  readonly #coverage: number;
  /** L2 entries in one slice. */
  readonly #sliceEntries: number;
  /** Bytes of guest disk that one slice maps. */
  readonly #sliceCoverage: number;
  // reused by every look-up: decoding is synchronous and nothing keeps them
  readonly #first = new Piece();
  readonly #next = new Piece();

  constructor(parts: ClusterMapParts) {
    this.#parts = parts;
    this.#tables = parts.tables;
    const { clusterSize, entryLength } = parts.tables.layout;
    this.#clusterSize = clusterSize;
    this.#coverage = (clusterSize / entryLength) * clusterSize;
    this.#sliceEntries = parts.tables.l2.sliceLength / entryLength;
    this.#sliceCoverage = this.#sliceEntries * clusterSize;
  }

  /** Where `offset` is, if the tables that tell are in memory. */
  peek(offset: number, maxLength: number): ShallowMapping | undefined {
    const length = Math.min(maxLength, this.#tables.size - offset);
    if (length <= 0) {
      return eof;
    }
    const l1Index = Math.floor(offset / this.#coverage);
    const l1Entry = this.#tables.l1.peek(l1Index);
    if (l1Entry === undefined) {
      return undefined;
    }
    if (l1Entry.l2Offset === 0) {
      return this.#withoutTable(offset, length);
    }
    const table = this.#tables.l2.peek(this.#sliceOffset(offset, l1Index, l1Entry.l2Offset));
    return table === undefined ? undefined : this.#map(table.view, offset, length);
  }

  /** Where `offset` is. Reads at most one part of the L1 and one of an L2 table. */
  *get(offset: number, maxLength: number): Io<ShallowMapping> {
    const length = Math.min(maxLength, this.#tables.size - offset);
    if (length <= 0) {
      return eof;
    }
    const view = yield* this.#slice(offset);
    return view === undefined ? this.#withoutTable(offset, length) : this.#map(view, offset, length);
  }

  /**
   * The L2 entry of the cluster at `offset`, as halves of its first 64 bits; `undefined`: there is no L2 table.
   */
  *entry(offset: number): Io<{ readonly high: number; readonly low: number } | undefined> {
    const view = yield* this.#slice(offset);
    if (view === undefined) {
      return undefined;
    }
    const at = this.#indexInSlice(offset) * this.#tables.layout.entryLength;
    return { high: view.getUint32(at), low: view.getUint32(at + 4) };
  }

  /**
   * Where the data of the clusters from the one at `offset` on are, of `count` or fewer: up to the end of a slice, or to one that isn't compressed.
   */
  *compressed(offset: number, count: number): Io<CompressedCluster[]> {
    const places: CompressedCluster[] = [];
    const view = yield* this.#slice(offset);
    if (view !== undefined) {
      const { entryLength, clusterBits } = this.#tables.layout;
      const first = this.#indexInSlice(offset);
      const end = Math.min(first + count, this.#sliceEntries);
      for (let index = first; index < end; index++) {
        const high = view.getUint32(index * entryLength);
        if ((high & compressedFlag) === 0) {
          break;
        }
        places.push(compressedCluster(high, view.getUint32(index * entryLength + 4), clusterBits));
      }
    }
    return places;
  }

  /** Decodes what the table says about one cluster; `undefined`: there is no L2 table. The piece is the caller's until the next call. */
  *piece(offset: number): Io<Piece | undefined> {
    const view = yield* this.#slice(offset);
    if (view === undefined) {
      return undefined;
    }
    this.#decode(this.#first, view, offset, this.#indexInSlice(offset));
    return this.#first;
  }

  /** The slice with the entry for `offset`; `undefined`: there is no L2 table. */
  *#slice(offset: number): Io<DataView | undefined> {
    const l1Index = Math.floor(offset / this.#coverage);
    const { l2Offset } = yield* this.#tables.l1.get(l1Index);
    return l2Offset === 0 ? undefined : (yield* this.#tables.l2.get(this.#sliceOffset(offset, l1Index, l2Offset))).view;
  }

  #withoutTable(offset: number, length: number): ShallowMapping {
    const rest = (Math.floor(offset / this.#coverage) + 1) * this.#coverage - offset;
    return this.#unallocated(offset, Math.min(length, rest), undefined);
  }

  #map(view: DataView, offset: number, length: number): ShallowMapping {
    const first = this.#first;
    const index = this.#indexInSlice(offset);
    this.#decode(first, view, offset, index);
    const mapped = first.length >= length ? length : Math.min(length, this.#runLength(view, offset, length, index));
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

  /** How far what `#first`, the entry at `index`, says goes on inside of the slice, bytes; stops looking at `length`. */
  #runLength(view: DataView, offset: number, length: number, index: number): number {
    const first = this.#first;
    const next = this.#next;
    const start = Math.floor(offset / this.#clusterSize) * this.#clusterSize;
    const end = start + (this.#sliceEntries - index) * this.#clusterSize;
    let run = first.length + this.#alikeAfter(view, index, length - first.length);
    while (run < length && offset + run < end) {
      const at = offset + run;
      this.#decode(next, view, at, index + Math.floor((at - start) / this.#clusterSize));
      if (!continues(first, next, run, this.#parts.writable)) {
        break;
      }
      run += next.length;
    }
    return run;
  }

  /**
   * How many bytes the entries behind the one at `index` map that differ from it in nothing but the host cluster, and in that continue it: what is
   * right about the first is right about them, so nothing of them is decoded. Stops looking at `length`.
   */
  #alikeAfter(view: DataView, index: number, length: number): number {
    const { kind, hasHost } = this.#first;
    if (this.#tables.layout.extended || kind === "compressed") {
      return 0;
    }
    const most = Math.min(this.#sliceEntries - index - 1, Math.ceil(length / this.#clusterSize));
    const step = hasHost ? this.#clusterSize : 0;
    const start = index * standardEntryLength;
    const high = view.getUint32(start);
    let low = view.getUint32(start + 4);
    let count = 0;
    for (let at = start + standardEntryLength; count < most; at += standardEntryLength) {
      low += step;
      if (view.getUint32(at + 4) !== low || view.getUint32(at) !== high) {
        break;
      }
      count++;
    }
    return count * this.#clusterSize;
  }

  #decode(piece: Piece, view: DataView, offset: number, index: number): void {
    const cluster = Math.floor(offset / this.#clusterSize) * this.#clusterSize;
    piece.decode(view, index, offset - cluster, cluster, this.#tables.layout);
  }

  #indexInSlice(offset: number): number {
    return Math.floor((offset - Math.floor(offset / this.#sliceCoverage) * this.#sliceCoverage) / this.#clusterSize);
  }

  #sliceOffset(offset: number, l1Index: number, l2Offset: number): number {
    const slice = Math.floor((offset - l1Index * this.#coverage) / this.#sliceCoverage);
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
