import type { Io } from "@img/format-core";
import { copiedFlag, zeroFlag } from "../tables/l2-entry.ts";
import type { ClusterRun, ClusterRuns } from "./cluster-runs.ts";
import type { Section } from "./section.ts";
import { sourceChanged } from "./source-changed.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** The L2 tables that there are, in the order of the disk. They are made while they are streamed, one at a time. */
export class L2Section implements Section {
  readonly length: number;
  readonly #layout: StreamLayout;
  readonly #runs: ClusterRuns;
  /** Bytes of an entry: 8, or 16 with subclusters. */
  readonly #entryLength: number;
  readonly #table: DataView<ArrayBuffer>;
  #run: ClusterRun = { count: 0, stored: 0, zeroes: 0 };
  /** Clusters of the run that are left. */
  #left = 0;
  /** Guest cluster at which they begin. */
  #cluster = 0;
  /** Host cluster of the next data. */
  #host: number;

  constructor(layout: StreamLayout, runs: ClusterRuns, entryLength: number) {
    this.length = layout.l2Tables * layout.clusterSize;
    this.#layout = layout;
    this.#runs = runs;
    this.#entryLength = entryLength;
    this.#host = layout.dataStart;
    this.#table = new DataView(new ArrayBuffer(layout.l2Tables === 0 ? 0 : layout.clusterSize));
  }

  *fill(into: Uint8Array, position: number): Io<void> {
    const { clusterSize } = this.#layout;
    for (let done = 0; done < into.length;) {
      const within = (position + done) % clusterSize;
      if (within === 0) {
        yield* this.#make();
      }
      const length = Math.min(clusterSize - within, into.length - done);
      into.set(new Uint8Array(this.#table.buffer, within, length), done);
      done += length;
    }
    if (position + into.length === this.length) {
      yield* this.#checkEnd();
    }
  }

  /** Makes the next table with anything in it. */
  *#make(): Io<void> {
    const perTable = this.#layout.clusterSize / this.#entryLength;
    if (!(yield* this.#skip())) {
      throw sourceChanged();
    }
    new Uint8Array(this.#table.buffer).fill(0);
    const end = (Math.floor(this.#cluster / perTable) + 1) * perTable;
    while (this.#cluster < end && (yield* this.#more())) {
      const count = Math.min(this.#left, end - this.#cluster);
      if (this.#isAllocated()) {
        this.#enter(perTable - (end - this.#cluster), count);
      }
      this.#cluster += count;
      this.#left -= count;
    }
  }

  /** Goes to the next cluster whose entry isn't 0; `false`: there is none. */
  *#skip(): Io<boolean> {
    while (yield* this.#more()) {
      if (this.#isAllocated()) {
        return true;
      }
      this.#cluster += this.#left;
      this.#left = 0;
    }
    return false;
  }

  *#more(): Io<boolean> {
    if (this.#left === 0) {
      const run = yield* this.#runs.next();
      if (run === undefined) {
        return false;
      }
      this.#run = run;
      this.#left = run.count;
    }
    return true;
  }

  #isAllocated(): boolean {
    return this.#run.stored !== 0 || this.#run.zeroes !== 0;
  }

  #enter(first: number, count: number): void {
    const table = this.#table;
    const { stored, zeroes } = this.#run;
    const isExtended = this.#entryLength === 16;
    for (let index = first; index < first + count; index++) {
      const at = index * this.#entryLength;
      if (stored !== 0) {
        const offset = this.#host++ * this.#layout.clusterSize;
        table.setUint32(at, (Math.floor(offset / 0x1_0000_0000) | copiedFlag) >>> 0);
        table.setUint32(at + 4, offset % 0x1_0000_0000);
      } else if (!isExtended) {
        table.setUint32(at + 4, zeroFlag);
      }
      if (isExtended) {
        table.setUint32(at + 8, zeroes);
        table.setUint32(at + 12, stored);
      }
    }
  }

  /** What the entries point to must be what follows. */
  *#checkEnd(): Io<void> {
    if ((yield* this.#skip()) || this.#host !== this.#layout.clusters) {
      throw sourceChanged();
    }
  }
}
