import { setBits } from "./bit-range.ts";

/** Bytes of bits that are kept at once: 2 GiB of disk at 64 KiB a bit. */
const greatestSlice = 4096;

/** Bits of one bitmap that were set since it was last saved. Takes memory only where there are some. */
export class UnsavedBits {
  readonly #granularity: number;
  readonly #sliceLength: number;
  readonly #pageLength: number;
  readonly #slices = new Map<number, Uint8Array>();
  readonly #pages = new Set<number>();

  /** @param clusterSize - of the image: bytes of a page of the bitmap */
  constructor(granularity: number, clusterSize: number) {
    this.#granularity = granularity;
    this.#pageLength = clusterSize;
    this.#sliceLength = Math.min(clusterSize, greatestSlice);
  }

  /** Whether a page has some. */
  touches(page: number): boolean {
    return this.#pages.has(page);
  }

  /** Notes that a range of the disk is about to change. */
  mark(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / this.#granularity);
    const sliceBits = this.#sliceLength * 8;
    for (let bit = Math.floor(offset / this.#granularity); bit <= last;) {
      const index = Math.floor(bit / sliceBits);
      const start = index * sliceBits;
      const until = Math.min(last, start + sliceBits - 1);
      setBits(this.#slice(index), bit - start, until - start);
      bit = until + 1;
    }
  }

  #slice(index: number): Uint8Array {
    let slice = this.#slices.get(index);
    if (slice === undefined) {
      slice = new Uint8Array(this.#sliceLength);
      this.#slices.set(index, slice);
      this.#pages.add(Math.floor((index * this.#sliceLength) / this.#pageLength));
    }
    return slice;
  }

  /** Sets the bits of a page in what is saved of it. */
  addTo(page: number, bytes: Uint8Array): void {
    const perPage = this.#pageLength / this.#sliceLength;
    for (let index = 0; index < perPage; index++) {
      const slice = this.#slices.get(page * perPage + index);
      if (slice !== undefined) {
        const start = index * this.#sliceLength;
        for (const [at, bits] of slice.entries()) {
          bytes[start + at] = (bytes[start + at] ?? 0) | bits;
        }
      }
    }
  }
}
