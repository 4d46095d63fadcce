import type { Io } from "@img/format-core";
import type { CheckWalk } from "../check/check-image.ts";
import type { Anchors } from "../check/anchors.ts";
import type { CheckState } from "../check/check-state.ts";
import { cryptMethods } from "../header/header.ts";
import { greatestRefcount } from "../refcounts/refcount.ts";
import { compressedFlag, zeroFlag } from "../tables/l2-entry.ts";
import { decodeEntry } from "./entry-bytes.ts";
import type { EntryWords } from "./repaired-entry.ts";
import { isSafeLocation } from "./safe-location.ts";
import { walkTables, type VisitedTable } from "../check/walk-tables.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;

/** Entries whose clusters are copied before the image is walked anew. */
const mostMoves = 4096;

/** An entry that gets a copy of what it refers to. */
export interface Move {
  readonly table: "l1" | "l2";
  readonly entryOffset: number;
  readonly entry: EntryWords;
  readonly guestOffset: number;
  /** What it refers to. Bytes. */
  readonly offset: number;
  readonly length: number;
}

/** What {@link findMoves} found. */
export interface FoundMoves {
  readonly moves: readonly Move[];
  /** Entries that can't share what they refer to, but can't get a copy either: LUKS encrypts data by where it lies in the image. */
  readonly bound: number;
}

/**
 * Finds the entries that can't share what they refer to: because it is a table, which would change under them; or because refcounts can't count all of
 * them, in which case the first ones stay. L2 tables come first: what is below a table that is copied is found the next time. An entry whose own place
 * is shared has to wait until what else lies there has moved.
 */
export function* findMoves(walk: CheckWalk): Io<FoundMoves> {
  const { state } = walk;
  const { anchors } = state;
  if (anchors === undefined) {
    return { moves: [], bound: 0 };
  }
  const contested = contestedClusters(state, anchors);
  if (contested.size === 0) {
    return { moves: [], bound: 0 };
  }
  const finder = new MoveFinder(state, anchors, contested);
  yield* walkTables(state, walk.trees, (table) => finder.visit(table), false);
  const isSafe = (move: Move): boolean => isSafeLocation(state, move.table, move.entryOffset, move);
  const tables = finder.moves("l1").filter(isSafe);
  return { moves: tables.length > 0 ? tables : finder.moves("l2").filter(isSafe), bound: finder.bound };
}

/** Tables that something else refers to as well, and what has too many references. */
function contestedClusters(state: CheckState, { metadata, tables, crowded }: Anchors): ReadonlySet<number> {
  const contested = new Set(crowded);
  for (const [cluster, count] of metadata) {
    if (state.references.get(cluster) > count) {
      contested.add(cluster);
    }
  }
  for (const [cluster, count] of tables) {
    if (state.references.get(cluster) > count) {
      contested.add(cluster);
    }
  }
  return contested;
}

class MoveFinder {
  bound = 0;
  readonly #state: CheckState;
  readonly #anchors: Anchors;
  readonly #contested: ReadonlySet<number>;
  /** References that stay. */
  readonly #stay = new Map<number, number>();
  readonly #moves = { l1: new Map<number, Move>(), l2: new Map<number, Move>() };

  constructor(state: CheckState, anchors: Anchors, contested: ReadonlySet<number>) {
    this.#state = state;
    this.#anchors = anchors;
    this.#contested = contested;
  }

  moves(table: "l1" | "l2"): readonly Move[] {
    return [...this.#moves[table].values()];
  }

  *visit(place: VisitedTable): Io<void> {
    const { layout } = this.#state;
    const length = place.table === "l1" ? 8 : layout.entryLength;
    const coverage =
      place.table === "l1" ? (layout.clusterSize / layout.entryLength) * layout.clusterSize : layout.clusterSize;
    for (let at = 0; at < place.bytes.length; at += length) {
      const entry = decodeEntry(place.view, at, length);
      const range = this.#rangeOf(place.table, entry);
      if (range === undefined || !this.#hasToMove(place.table, range)) {
        continue;
      }
      if (this.#isBound(place.table, entry)) {
        this.bound++;
      } else {
        const moves = this.#moves[place.table];
        const entryOffset = place.hostOffset + at;
        if (moves.size < mostMoves || moves.has(entryOffset)) {
          const guestOffset = place.guestOffset + (at / length) * coverage;
          moves.set(entryOffset, { table: place.table, entryOffset, entry, guestOffset, ...range });
        }
      }
    }
  }

  /**
   * Whether data would decrypt to something else in another place: LUKS counts sectors from the start of the image, AES those of the disk. Compressed
   * clusters aren't encrypted.
   */
  #isBound(table: "l1" | "l2", { high, low }: EntryWords): boolean {
    const { header, layout } = this.#state;
    const isZero = layout.hasZeroFlag && (low & zeroFlag) !== 0;
    return header.cryptMethod === cryptMethods.luks && table === "l2" && (high & compressedFlag) === 0 && !isZero;
  }

  /** What an entry refers to, if it can be right. */
  #rangeOf(
    table: "l1" | "l2",
    { high, low }: EntryWords,
  ): { readonly offset: number; readonly length: number } | undefined {
    const { clusterBits, clusterSize, externalDataFile } = this.#state.layout;
    if (table === "l2" && externalDataFile) {
      return undefined;
    }
    if (table === "l2" && (high & compressedFlag) !== 0) {
      const offsetBits = 62 - (clusterBits - 8) - 32;
      const offset = (high & (2 ** offsetBits - 1)) * 0x1_0000_0000 + low;
      const sectors = ((high & 0x3fff_ffff) >>> offsetBits) + 1;
      return this.#inside(offset, sectors * 512 - (offset % 512));
    }
    const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
    return offset === 0 || offset % clusterSize !== 0 ? undefined : this.#inside(offset, clusterSize);
  }

  /** What is past the end has no references. */
  #inside(offset: number, length: number): { readonly offset: number; readonly length: number } | undefined {
    const { fileSize, clusterSize } = this.#state;
    return offset + length - fileSize >= clusterSize ? undefined : { offset, length };
  }

  /** Takes the references down unless the entry has to move. */
  #hasToMove(table: "l1" | "l2", { offset, length }: { readonly offset: number; readonly length: number }): boolean {
    const { clusterSize } = this.#state;
    const clusters: number[] = [];
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + length; cluster++) {
      if (this.#contested.has(cluster)) {
        clusters.push(cluster);
      }
    }
    if (clusters.some((cluster) => (this.#stay.get(cluster) ?? 0) >= this.#room(table, cluster))) {
      return true;
    }
    for (const cluster of clusters) {
      this.#stay.set(cluster, (this.#stay.get(cluster) ?? 0) + 1);
    }
    return false;
  }

  /** How many references of entries in this kind of table a cluster can have. */
  #room(table: "l1" | "l2", cluster: number): number {
    const { metadata, tables } = this.#anchors;
    if (metadata.has(cluster) || (table === "l2" && tables.has(cluster))) {
      return 0;
    }
    return greatestRefcount(this.#state.header.refcountOrder);
  }
}
