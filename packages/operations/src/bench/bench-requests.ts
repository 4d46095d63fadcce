import { ImgError, type FormatAccess } from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import type { BenchSettings } from "./bench-settings.ts";

/** The requests of a benchmark, one after the other. */
export class BenchRequests {
  readonly #settings: BenchSettings;
  readonly #size: number;
  #left: number;
  #offset: number;

  constructor(image: FormatAccess, settings: BenchSettings) {
    this.#settings = settings;
    this.#size = sectorAlignedSize(image);
    this.#left = settings.count;
    this.#offset = settings.offset;
  }

  /** How many follow. */
  get left(): number {
    return this.#left;
  }

  /**
   * Where the next one begins, bytes.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when it would end behind the disk
   */
  next(): number {
    const { length, step } = this.#settings;
    const offset = this.#offset;
    if (offset + length > this.#size) {
      throw new ImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `${String(length)} bytes at ${String(offset)} end behind the disk's ${String(this.#size)}`,
        { feature: "request" },
      );
    }
    this.#left--;
    this.#offset = this.#size === 0 ? 0 : (offset + step) % this.#size;
    return offset;
  }

  /** Whether the request that was begun last is the last before a flush. */
  isFlushDue(): boolean {
    const { count, flushInterval } = this.#settings;
    return flushInterval > 0 && (count - this.#left) % flushInterval === 0;
  }

  /** What a request needs: what is written, or room for what is read. */
  makeBuffer(): Uint8Array {
    const { write, length, pattern } = this.#settings;
    const buffer = new Uint8Array(length);
    return write ? buffer.fill(pattern) : buffer;
  }
}
