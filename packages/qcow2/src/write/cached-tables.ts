import type { Io } from "@img/format-core";
import { decodeL1Entry, noL1Entry, type L1Entry, type L1Source } from "../tables/l1-entry.ts";
import type { SliceSource } from "../tables/slice-source.ts";
import type { Table } from "../tables/table.ts";
import type { MetadataCaches } from "./metadata-caches.ts";

/** The active L1 table of an image that is written: all of it is in memory. */
export class ResidentL1 implements L1Source {
  readonly #caches: MetadataCaches;
  readonly #clusterSize: number;

  constructor(caches: MetadataCaches, clusterSize: number) {
    this.#caches = caches;
    this.#clusterSize = clusterSize;
  }

  get offset(): number {
    return this.#caches.l1.offset;
  }

  get length(): number {
    return this.#caches.l1.length;
  }

  peek(index: number): L1Entry {
    return index < this.length ? decodeL1Entry(this.#caches.l1.view, index * 8, index, this.#clusterSize) : noL1Entry;
  }

  // an answer at once is an operation too
  *get(index: number): Io<L1Entry> {
    return this.peek(index);
  }
}

/** The L2 tables of an image that is written. */
export class CachedL2 implements SliceSource {
  readonly #caches: MetadataCaches;

  constructor(caches: MetadataCaches) {
    this.#caches = caches;
  }

  get sliceLength(): number {
    return this.#caches.sliceLength;
  }

  get isEmpty(): boolean {
    return this.#caches.l2IsEmpty;
  }

  peek(offset: number): Table | undefined {
    return this.#caches.l2.peek(offset);
  }

  get(offset: number): Io<Table> {
    return this.#caches.l2.get(offset);
  }
}
