import type { FormatAccess, Io } from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import { ChainStatus } from "./chain-status.ts";
import { isContinued, type MapEntry } from "./map-entry.ts";

/** Look-ups under one lease: enough to make leases cheap, few enough that nobody waits long. */
const batchLength = 1024;

/** The part of a disk to look at, in bytes. */
export interface MapRange {
  /** Default 0. */
  readonly offset?: number;
  /** Default: up to the end of the disk. What goes past the end is ignored. */
  readonly length?: number;
}

/** Walks over a disk and joins what belongs together. Reads metadata only. */
export class MapReader {
  readonly #image: FormatAccess;
  readonly #status: ChainStatus;
  #end = 0;
  #at = 0;
  #open: (MapEntry & { length: number }) | undefined;

  constructor(image: FormatAccess, range: MapRange = {}) {
    this.#image = image;
    this.#status = new ChainStatus(image);
    this.show(range);
  }

  /** Turns to a part of the disk; what is known of where files have holes stays known. */
  show({ offset = 0, length = Infinity }: MapRange): void {
    this.#at = offset;
    this.#end = Math.min(sectorAlignedSize(this.#image), offset + length);
    this.#open = undefined;
  }

  /** Whether nothing is left. */
  get isDone(): boolean {
    return this.#at >= this.#end && this.#open === undefined;
  }

  /** Up to where the disk was looked at, in bytes. */
  get position(): number {
    return this.#at;
  }

  /** The next entries, in order; may be none although more follow, see {@link isDone}. */
  *next(): Io<MapEntry[]> {
    return yield* this.#image.io.shared(() => this.#collect());
  }

  *#collect(): Io<MapEntry[]> {
    const entries: MapEntry[] = [];
    for (let count = 0; count < batchLength && this.#at < this.#end; count++) {
      const length = this.#end - this.#at;
      const found = this.#status.peek(this.#at, length) ?? (yield* this.#status.look(this.#at, length));
      this.#at += found.length;
      if (this.#open !== undefined && isContinued(this.#open, found)) {
        // nobody else has it yet
        this.#open.length += found.length;
        continue;
      }
      if (this.#open !== undefined) {
        entries.push(this.#open);
      }
      this.#open = found;
    }
    if (this.#at >= this.#end && this.#open !== undefined) {
      entries.push(this.#open);
      this.#open = undefined;
    }
    return entries;
  }
}
