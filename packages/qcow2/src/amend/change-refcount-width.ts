import { IoVector } from "@img/io-vector";
import { checkpoint, hex, ImgError, readStorage, syncStorage, writeStorage, type Io } from "@img/format-core";
import { headerLayout, limits, sectorSize } from "../header/layout.ts";
import { RefcountReader } from "../refcounts/refcount-reader.ts";
import { greatestRefcount, refcountAt, setRefcount } from "../refcounts/refcount.ts";
import type { HeaderPlace } from "../write/replace-header.ts";
import type { OnAmendProgress } from "./amend-options.ts";

/** Where the new refcounts are. */
interface NewRefcounts {
  /** First cluster of what is new: the blocks, and behind them the table. */
  readonly first: number;
  /** Indices of the blocks that there are, ascending. */
  readonly blocks: readonly number[];
  readonly tableClusters: number;
}

/**
 * Writes all refcounts anew in another width, behind everything that is in use, and then has the header point there: a power cut leaves the old ones or
 * the new ones. Nothing else may be at work, and all has to be flushed. What is in memory is out of date afterwards: the image has to be read anew before
 * anything is written.
 *
 * @param order - the new refcounts are 2^order bits wide
 * @returns the clusters of the old table and the old blocks, which nobody uses any more
 * @throws ImgError `ERR_IMG_LIMIT` with the feature `"refcount width"` when one is too large; `ERR_IMG_NO_SPACE` when the table would be longer than 8 MiB.
 * Nothing is changed then.
 */
export function* changeRefcountWidth(
  place: HeaderPlace,
  order: number,
  onProgress: OnAmendProgress,
): Io<ReadonlySet<number>> {
  return yield* new WidthChange(place, order, onProgress).run();
}

class WidthChange {
  readonly #place: HeaderPlace;
  readonly #order: number;
  readonly #onProgress: OnAmendProgress;
  readonly #clusterSize: number;
  readonly #reader: RefcountReader;
  /** Clusters of the old table and the old blocks, which nobody uses afterwards. */
  readonly #dropped = new Set<number>();
  /** The old refcount block that was read last. */
  #block: { readonly index: number; readonly view: DataView } | undefined;

  constructor(place: HeaderPlace, order: number, onProgress: OnAmendProgress) {
    this.#place = place;
    this.#order = order;
    this.#onProgress = onProgress;
    this.#clusterSize = 2 ** place.loaded.header.clusterBits;
    this.#reader = new RefcountReader(place.storage, place.loaded.header);
  }

  /** Clusters that one new block counts. */
  get #coverage(): number {
    return (this.#clusterSize * 8) / 2 ** this.#order;
  }

  *run(): Io<ReadonlySet<number>> {
    const { storage, loaded } = this.#place;
    const { refcountTableOffset, refcountTableClusters } = loaded.header;
    const first = refcountTableOffset / this.#clusterSize;
    for (let cluster = first; cluster < first + refcountTableClusters; cluster++) {
      this.#dropped.add(cluster);
    }
    for (let index = 0; index < this.#reader.tableLength; index++) {
      const offset = yield* this.#reader.blockOffset(index);
      if (offset !== 0) {
        this.#dropped.add(offset / this.#clusterSize);
      }
    }
    const planned = this.#plan(yield* this.#survey());
    yield* this.#write(planned);
    yield* syncStorage(storage);
    yield* this.#switch(planned);
    return this.#dropped;
  }

  /** Looks at all refcounts: which new blocks they need, and where the last cluster in use ends. */
  *#survey(): Io<{ readonly needed: Set<number>; readonly end: number }> {
    const most = greatestRefcount(this.#order);
    const needed = new Set<number>();
    const { blockCoverage, tableLength } = this.#reader;
    let end = Math.ceil(this.#place.storage.size / this.#clusterSize);
    for (let index = 0; index < tableLength; index++) {
      yield* checkpoint();
      for (let cluster = index * blockCoverage; cluster < (index + 1) * blockCoverage; cluster++) {
        const count = yield* this.#count(cluster);
        if (count === undefined) {
          break;
        }
        if (count > most) {
          throw new ImgError(
            "ERR_IMG_LIMIT",
            `the cluster at host offset ${hex(cluster * this.#clusterSize)} has the refcount ${String(count)}: ${String(2 ** this.#order)} bits hold at most ${String(most)}`,
            { feature: "refcount width" },
          );
        }
        if (count > 0) {
          needed.add(Math.floor(cluster / this.#coverage));
          end = Math.max(end, cluster + 1);
        }
      }
    }
    if (needed.size === 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        "all refcounts are 0, that of the header, too: they have to be repaired first",
      );
    }
    return { needed, end };
  }

  /** How often a cluster will be used; `undefined`: neither it nor the rest of its old block is in use. */
  *#count(cluster: number): Io<number | undefined> {
    const index = Math.floor(cluster / this.#reader.blockCoverage);
    if (this.#block?.index !== index) {
      const offset = yield* this.#reader.blockOffset(index);
      if (offset === 0) {
        return undefined;
      }
      const bytes = new Uint8Array(this.#clusterSize);
      yield* readStorage(this.#place.storage, IoVector.from(bytes), offset);
      this.#block = { index, view: new DataView(bytes.buffer) };
    }
    const { refcountOrder } = this.#place.loaded.header;
    const count = refcountAt(this.#block.view, cluster % this.#reader.blockCoverage, refcountOrder);
    return this.#dropped.has(cluster) ? Math.max(count - 1, 0) : count;
  }

  #plan({ needed, end }: { readonly needed: Set<number>; readonly end: number }): NewRefcounts {
    for (;;) {
      // one by one: there may be more than a call can have arguments
      const entries = [...needed].reduce((most, index) => Math.max(most, index + 1), 0);
      const tableClusters = Math.ceil((entries * 8) / this.#clusterSize);
      if (tableClusters * this.#clusterSize > limits.refcountTableLength) {
        throw new ImgError(
          "ERR_IMG_NO_SPACE",
          `the refcount table would need ${String(tableClusters * this.#clusterSize)} bytes of at most ${String(limits.refcountTableLength)}`,
        );
      }
      const before = needed.size;
      const last = end + needed.size + tableClusters - 1;
      for (let index = Math.floor(end / this.#coverage); index <= Math.floor(last / this.#coverage); index++) {
        needed.add(index);
      }
      if (needed.size === before) {
        return { first: end, blocks: [...needed].sort((a, b) => a - b), tableClusters };
      }
    }
  }

  *#write({ first, blocks, tableClusters }: NewRefcounts): Io<void> {
    const { storage } = this.#place;
    const table = new Uint8Array(tableClusters * this.#clusterSize);
    const view = new DataView(table.buffer);
    const end = first + blocks.length + tableClusters;
    for (const [position, index] of blocks.entries()) {
      yield* checkpoint();
      const offset = (first + position) * this.#clusterSize;
      view.setUint32(index * 8, Math.floor(offset / 0x1_0000_0000));
      view.setUint32(index * 8 + 4, offset % 0x1_0000_0000);
      yield* writeStorage(storage, IoVector.from(yield* this.#newBlock(index, first, end)), offset);
      this.#onProgress(position + 1, blocks.length);
    }
    yield* writeStorage(storage, IoVector.from(table), (first + blocks.length) * this.#clusterSize);
  }

  /** @param first - the first new cluster; all up to `end` are in use once */
  *#newBlock(index: number, first: number, end: number): Io<Uint8Array> {
    const bytes = new Uint8Array(this.#clusterSize);
    const view = new DataView(bytes.buffer);
    const { blockCoverage } = this.#reader;
    const start = index * this.#coverage;
    for (let cluster = start; cluster < start + this.#coverage; cluster++) {
      const count = cluster < first ? yield* this.#count(cluster) : cluster < end ? 1 : 0;
      if (count === undefined) {
        // nothing is counted up to the next old block
        cluster = Math.min((Math.floor(cluster / blockCoverage) + 1) * blockCoverage, first) - 1;
      } else if (count > 0) {
        setRefcount(view, cluster - start, this.#order, count);
      }
    }
    return bytes;
  }

  *#switch({ first, blocks, tableClusters }: NewRefcounts): Io<void> {
    const { storage, header } = this.#place;
    const old = new Uint8Array(sectorSize);
    yield* readStorage(storage, IoVector.from(old), 0);
    const changed = old.slice();
    const view = new DataView(changed.buffer);
    const offset = (first + blocks.length) * this.#clusterSize;
    view.setUint32(headerLayout.refcountTableOffset, Math.floor(offset / 0x1_0000_0000));
    view.setUint32(headerLayout.refcountTableOffset + 4, offset % 0x1_0000_0000);
    view.setUint32(headerLayout.refcountTableClusters, tableClusters);
    view.setUint32(headerLayout.refcountOrder, this.#order);
    yield* header.change(
      () => header.setFirstSector(changed),
      () => header.setFirstSector(old),
      () => undefined,
    );
  }
}
