import { hex, ImgError, type Io } from "@img/format-core";
import { copiedFlag, entryOffset, entryText } from "./l2-entry.ts";
import type { TableReader } from "./table-reader.ts";

const reservedHigh = 0x7f00_0000;
const reservedLow = 0x0000_01ff;

/** What an L1 entry says. */
export interface L1Entry {
  /** Host offset of the L2 table; 0: there is none. */
  readonly l2Offset: number;
  /** The L2 table belongs to this L1 table alone. */
  readonly copied: boolean;
}

const none: L1Entry = { l2Offset: 0, copied: false };

/** An L1 table (the active one or a snapshot's), read in parts as they are needed. */
export class L1Table {
  /** Host offset, bytes. */
  readonly offset: number;
  /** Entries. */
  readonly length: number;
  readonly #clusterSize: number;
  readonly #reader: TableReader;

  constructor(offset: number, length: number, clusterSize: number, reader: TableReader) {
    this.offset = offset;
    this.length = length;
    this.#clusterSize = clusterSize;
    this.#reader = reader;
  }

  /** The entry at `index`, if the part with it is in memory. Past the end there is no L2 table. */
  peek(index: number): L1Entry | undefined {
    if (index >= this.length) {
      return none;
    }
    const table = this.#reader.peek(this.#sliceOffset(index));
    return table === undefined ? undefined : this.#decode(table.view, index);
  }

  /**
   * The entry at `index`.
   * @throws ImgError `ERR_IMG_CORRUPT` when it is impossible.
   */
  *get(index: number): Io<L1Entry> {
    if (index >= this.length) {
      return none;
    }
    const table = yield* this.#reader.get(this.#sliceOffset(index));
    return this.#decode(table.view, index);
  }

  #sliceOffset(index: number): number {
    const { sliceLength } = this.#reader;
    return this.offset + Math.floor((index * 8) / sliceLength) * sliceLength;
  }

  #decode(view: DataView, index: number): L1Entry {
    const at = (index * 8) % this.#reader.sliceLength;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high | low) === 0) {
      return none;
    }
    if ((high & reservedHigh) !== 0 || (low & reservedLow) !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `L1 entry ${String(index)} is ${entryText(high, low)}: reserved bits are set`,
      );
    }
    const l2Offset = entryOffset(high, low);
    if (l2Offset % this.#clusterSize !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `L2 table ${String(index)} at host offset ${hex(l2Offset)}: not cluster-aligned`,
      );
    }
    return { l2Offset, copied: (high & copiedFlag) !== 0 };
  }
}
