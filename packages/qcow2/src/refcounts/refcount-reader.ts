import { hex, ImgError, uint64, type Io, type Storage } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import { checkHostOffset, greatestHostOffset } from "../header/layout.ts";
import { TableReader } from "../tables/table-reader.ts";
import { refcountAt } from "./refcount.ts";

const cacheBytes = 256 * 1024;

/** Reads refcounts, in parts as they are needed. */
export class RefcountReader {
  readonly #header: Qcow2Header;
  readonly #reader: TableReader;
  readonly #clusterSize: number;

  constructor(storage: Storage, header: Qcow2Header) {
    this.#header = header;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#reader = new TableReader(storage, Math.min(this.#clusterSize, 4096), cacheBytes);
  }

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#reader.isEmpty;
  }

  /** Entries of the refcount table. */
  get tableLength(): number {
    return (this.#header.refcountTableClusters * this.#clusterSize) / 8;
  }

  /** Clusters that one refcount block counts. */
  get blockCoverage(): number {
    return (this.#clusterSize * 8) / 2 ** this.#header.refcountOrder;
  }

  /** Forgets everything. */
  clear(): void {
    this.#reader.clear();
  }

  /**
   * Host offset of the refcount block at `index`; 0: there is none, all its refcounts are 0.
   * @throws ImgError `ERR_IMG_CORRUPT` when the table's entry is impossible.
   */
  *blockOffset(index: number): Io<number> {
    if (index >= this.tableLength) {
      return 0;
    }
    const at = index * 8;
    const { sliceLength } = this.#reader;
    const within = at % sliceLength;
    const { view } = yield* this.#reader.get(this.#header.refcountTableOffset + at - within);
    const low = view.getUint32(within + 4);
    const offset = uint64(view.getUint32(within), low, `refcount table entry ${String(index)}`);
    if (offset > greatestHostOffset) {
      checkHostOffset(offset, `refcount block ${String(index)}`);
    }
    if (offset % this.#clusterSize !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `refcount block ${String(index)} at host offset ${hex(offset)}: not cluster-aligned`,
      );
    }
    return offset;
  }

  /** The refcount of a host cluster. */
  *get(cluster: number): Io<number> {
    const offset = yield* this.blockOffset(Math.floor(cluster / this.blockCoverage));
    if (offset === 0) {
      return 0;
    }
    const index = cluster % this.blockCoverage;
    const perSlice = (this.#reader.sliceLength * 8) / 2 ** this.#header.refcountOrder;
    const slice = Math.floor(index / perSlice);
    const { view } = yield* this.#reader.get(offset + slice * this.#reader.sliceLength);
    return refcountAt(view, index % perSlice, this.#header.refcountOrder);
  }

  /**
   * How many of the first `clusters` host clusters are in use; stops counting at `enough`.
   */
  *countUsed(clusters: number, enough: number): Io<number> {
    const perSlice = (this.#reader.sliceLength * 8) / 2 ** this.#header.refcountOrder;
    let used = 0;
    for (let cluster = 0; cluster < clusters && used < enough;) {
      const offset = yield* this.blockOffset(Math.floor(cluster / this.blockCoverage));
      if (offset === 0) {
        cluster += this.blockCoverage;
        continue;
      }
      const slice = Math.floor((cluster % this.blockCoverage) / perSlice);
      const { view } = yield* this.#reader.get(offset + slice * this.#reader.sliceLength);
      const stop = Math.min(perSlice, clusters - cluster);
      for (let index = 0; index < stop && used < enough; index++) {
        if (refcountAt(view, index, this.#header.refcountOrder) !== 0) {
          used++;
        }
      }
      cluster += perSlice;
    }
    return used;
  }
}
