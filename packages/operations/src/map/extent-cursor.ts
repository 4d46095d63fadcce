import { storageExtents, type Extent, type Io, type Storage } from "@img/format-core";

/** Bytes that are asked about at once, so that neighbouring questions need no further call. */
const lookAhead = 256 * 1024 * 1024;

/**
 * What the host says about one storage's bytes, asked in any order. Answers are remembered: holes that appear or go meanwhile may not be
 * noticed.
 */
export class ExtentCursor {
  readonly #storage: Storage;
  #known: readonly Extent[] = [];
  #index = 0;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** The extent that `offset` lies in, cut to `[offset, offset + length)`; `length` ≥ 1. */
  *at(offset: number, length: number): Io<Extent> {
    const found = this.peek(offset, length);
    if (found !== undefined) {
      return found;
    }
    this.#known = yield* storageExtents(this.#storage, offset, Math.max(length, lookAhead));
    this.#index = 0;
    return this.peek(offset, length) ?? { kind: "data", offset, length };
  }

  /** {@link at} as a plain call: `undefined` when the host has to be asked. */
  peek(offset: number, length: number): Extent | undefined {
    const extent = this.#find(offset);
    if (extent === undefined) {
      return undefined;
    }
    const end = Math.min(extent.offset + extent.length, offset + length);
    return { kind: extent.kind, offset, length: end - offset };
  }

  #find(offset: number): Extent | undefined {
    const here = this.#known[this.#index];
    if (here === undefined || offset < here.offset) {
      this.#index = 0;
    }
    for (; this.#index < this.#known.length; this.#index++) {
      const extent = this.#known[this.#index];
      if (extent !== undefined && offset < extent.offset + extent.length) {
        return offset >= extent.offset ? extent : undefined;
      }
    }
    return undefined;
  }
}
