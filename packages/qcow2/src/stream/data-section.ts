import { all, type Io } from "@img/format-core";
import type { ClusterRun, ClusterRuns } from "./cluster-runs.ts";
import type { Section } from "./section.ts";
import { sourceChanged } from "./source-changed.ts";
import type { StreamLayout } from "./stream-layout.ts";
import type { StreamSource } from "./stream-source.ts";

/** Reads of the source at once. */
const parallel = 8;

/** A part of a buffer, and what of the disk belongs there. */
interface Piece {
  readonly into: Uint8Array;
  /** Bytes from the start of the disk. */
  readonly offset: number;
}

/** The clusters with data, in the order of the disk. */
export class DataSection implements Section {
  readonly length: number;
  readonly #clusterSize: number;
  readonly #granule: number;
  readonly #source: StreamSource;
  readonly #runs: ClusterRuns;
  #run: ClusterRun = { count: 0, stored: 0, zeroes: 0 };
  /** Where in the disk the run's next byte is. */
  #offset = 0;
  /** Bytes of the run that are left. */
  #left = 0;

  constructor(layout: StreamLayout, source: StreamSource, runs: ClusterRuns, granule: number) {
    this.length = layout.dataClusters * layout.clusterSize;
    this.#clusterSize = layout.clusterSize;
    this.#granule = granule;
    this.#source = source;
    this.#runs = runs;
  }

  *fill(into: Uint8Array, position: number): Io<void> {
    const pieces: Piece[] = [];
    for (let done = 0; done < into.length;) {
      yield* this.#findData();
      const length = Math.min(this.#left, into.length - done);
      this.#add(pieces, into.subarray(done, done + length));
      this.#offset += length;
      this.#left -= length;
      done += length;
    }
    yield* all(
      pieces.map((piece) => this.#source.read(piece.into, piece.offset)),
      parallel,
    );
    if (position + into.length === this.length && (yield* this.#next())) {
      throw sourceChanged();
    }
  }

  /** Goes on to the next byte that is in a cluster with data. */
  *#findData(): Io<void> {
    if (this.#left === 0 && !(yield* this.#next())) {
      throw sourceChanged();
    }
  }

  /** Goes to the next run with data; `false`: there is none. */
  *#next(): Io<boolean> {
    for (;;) {
      this.#offset += this.#left;
      const run = yield* this.#runs.next();
      if (run === undefined) {
        this.#left = 0;
        return false;
      }
      this.#run = run;
      this.#left = run.count * this.#clusterSize;
      if (run.stored !== 0) {
        return true;
      }
    }
  }

  /** Adds what has to be read for `into`, which is a part of the run. The rest of it stays zero. */
  #add(pieces: Piece[], into: Uint8Array): void {
    const start = this.#offset;
    // the disk may end in its last cluster
    const end = Math.min(start + into.length, this.#source.size);
    if (end <= start) {
      return;
    }
    if (this.#clusterSize === this.#granule || this.#run.count > 1) {
      pieces.push({ into: into.subarray(0, end - start), offset: start });
      return;
    }
    for (let at = start; at < end;) {
      const next = Math.min(this.#sameUntil(at), end);
      if (this.#isStored(at)) {
        pieces.push({ into: into.subarray(at - start, next - start), offset: at });
      }
      at = next;
    }
  }

  #isStored(offset: number): boolean {
    const bit = Math.floor((offset % this.#clusterSize) / this.#granule);
    return ((this.#run.stored >>> bit) & 1) === 1;
  }

  /** The end of the granules from `offset` on that are stored, or aren't, like the first of them. */
  #sameUntil(offset: number): number {
    const clusterEnd = (Math.floor(offset / this.#clusterSize) + 1) * this.#clusterSize;
    let end = (Math.floor(offset / this.#granule) + 1) * this.#granule;
    while (end < clusterEnd && this.#isStored(end) === this.#isStored(offset)) {
      end += this.#granule;
    }
    return end;
  }
}
