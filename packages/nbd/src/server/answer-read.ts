import { isPromise, type MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { serializeHole } from "../protocol/chunk-payload.ts";
import type { NbdRequest } from "../protocol/request.ts";
import { chunkTypes, commandFlags } from "../protocol/transmission-numbers.ts";
import { alignExtents, everywhere } from "./align-extents.ts";
import type { DataWindows } from "./data-windows.ts";
import { blockSizeOf } from "./export-features.ts";
import type { NbdExport, NbdMetaContext } from "./nbd-export.ts";
import type { ReplyMaker } from "./reply-maker.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";
import { sparseRuns, type SparseRun } from "./sparse-runs.ts";
import { goOn } from "./go-on.ts";

/** Reads from this length on ask first whether there is something to read. */
const sparseFrom = 64 * 1024;

/** What reads of one connection are answered from. */
export interface ReadSource {
  readonly export: NbdExport;
  readonly memory: ReplyMemory;
  readonly maker: ReplyMaker;
  /** What is known of the export's `base:allocation`, if it has that. */
  readonly windows: DataWindows | undefined;
}

/** Answers reads: data goes from the export straight to where it is sent from, and long reads leave out what is zero. */
export class ReadAnswers {
  readonly #source: ReadSource;
  readonly #allocation: NbdMetaContext | undefined;

  constructor(source: ReadSource) {
    this.#source = source;
    this.#allocation = source.export.contexts?.find(({ name }) => name === "base:allocation");
  }

  /** The whole answer to a READ, in one part or several. Where it fails, nothing of it is left. */
  answer(request: NbdRequest): MaybePromise<Region | readonly Region[]> {
    const { maker, windows } = this.#source;
    const { length, flags } = request;
    if (length === 0) {
      return maker.done(request);
    }
    const whole = maker.style === "simple" || (flags & commandFlags.dontFragment) !== 0;
    const context = this.#allocation;
    if (whole || length < sparseFrom || context === undefined || windows === undefined) {
      return this.#whole(request);
    }
    return goOn(windows.isData(request.offset, length), (data) =>
      data ? this.#whole(request) : this.#sparse(request, context),
    );
  }

  #whole(request: NbdRequest): MaybePromise<Region> {
    const region = this.#source.maker.data(request, request.offset, request.length, true);
    return goOn(this.#fill(region, request.offset, request.length), () => region);
  }

  /** Reads into the end of a region; gives the region back if that fails. */
  #fill(region: Region, offset: number, length: number): MaybePromise<void> {
    const release = (error: unknown): never => {
      this.#source.memory.release(region);
      throw error;
    };
    try {
      const answer = this.#source.export.read(dataOf(region, length), offset);
      return isPromise(answer) ? answer.catch(release) : undefined;
    } catch (error) {
      return release(error);
    }
  }

  #sparse(request: NbdRequest, context: NbdMetaContext): MaybePromise<Region | readonly Region[]> {
    const { offset, length } = request;
    return goOn(context.status(offset, length, false), (extents): MaybePromise<Region | readonly Region[]> => {
      const { minimum } = blockSizeOf(this.#source.export);
      const runs = sparseRuns(offset, length, alignExtents(extents, minimum, everywhere));
      return runs.length === 1 && runs[0]?.kind === "data" ? this.#whole(request) : this.#runs(request, runs);
    });
  }

  async #runs(request: NbdRequest, runs: readonly SparseRun[]): Promise<readonly Region[]> {
    const { maker, memory } = this.#source;
    const regions: Region[] = [];
    const reads: Promise<void>[] = [];
    for (const [index, { kind, offset, length }] of runs.entries()) {
      const last = index === runs.length - 1;
      if (kind === "hole") {
        regions.push(maker.chunk(request, chunkTypes.offsetHole, serializeHole({ offset, length }), last));
      } else {
        const region = maker.data(request, offset, length, last);
        regions.push(region);
        reads.push(this.#readInto(region, offset, length));
      }
    }
    // all of them settle before memory is given back: somebody still writes into it otherwise
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === "rejected") {
        for (const region of regions) {
          memory.release(region);
        }
        throw read.reason as Error;
      }
    }
    return regions;
  }

  async #readInto(region: Region, offset: number, length: number): Promise<void> {
    await this.#source.export.read(dataOf(region, length), offset);
  }
}

function dataOf({ slab, end }: Region, length: number): IoVector {
  return IoVector.single(slab.memory.subarray(end - length, end));
}
