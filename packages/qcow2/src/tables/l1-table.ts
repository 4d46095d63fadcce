import type { Io } from "@img/format-core";
import { decodeL1Entry, noL1Entry, type L1Entry, type L1Source } from "./l1-entry.ts";
import type { SliceSource } from "./slice-source.ts";

/** An L1 table (the active one or a snapshot's) that is only read, in parts as they are needed. */
export class L1Table implements L1Source {
  readonly offset: number;
  readonly length: number;
  readonly #clusterSize: number;
  readonly #slices: SliceSource;

  constructor(offset: number, length: number, clusterSize: number, slices: SliceSource) {
    this.offset = offset;
    this.length = length;
    this.#clusterSize = clusterSize;
    this.#slices = slices;
  }

  peek(index: number): L1Entry | undefined {
    if (index >= this.length) {
      return noL1Entry;
    }
    const table = this.#slices.peek(this.#sliceOffset(index));
    return table === undefined ? undefined : this.#decode(table.view, index);
  }

  *get(index: number): Io<L1Entry> {
    if (index >= this.length) {
      return noL1Entry;
    }
    const table = yield* this.#slices.get(this.#sliceOffset(index));
    return this.#decode(table.view, index);
  }

  #sliceOffset(index: number): number {
    const { sliceLength } = this.#slices;
    return this.offset + Math.floor((index * 8) / sliceLength) * sliceLength;
  }

  #decode(view: DataView, index: number): L1Entry {
    return decodeL1Entry(view, (index * 8) % this.#slices.sliceLength, index, this.#clusterSize);
  }
}
