import { alignUp, checkOffset, ImgError, type Storage } from "@img/format-core";
import type { RawOpenOptions } from "./raw-options.ts";

/** The part of a storage that is the disk. */
export class RawWindow {
  readonly storage: Storage;
  /** Where it begins, in bytes. */
  readonly offset: number;
  /** Whether its length is given and doesn't follow the storage's. */
  readonly isFixed: boolean;
  readonly #length: number;
  readonly #roundUpTo: number;

  /** @throws RangeError when an option isn't a size, or `roundUpTo` is 0 */
  constructor(storage: Storage, options: Pick<RawOpenOptions, "offset" | "length" | "roundUpTo">) {
    const { offset = 0, length, roundUpTo = 1 } = options;
    checkOffset(offset, "offset");
    checkOffset(length ?? 0, "length");
    checkOffset(roundUpTo, "roundUpTo");
    if (roundUpTo === 0) {
      throw new RangeError("roundUpTo 0: expected at least 1");
    }
    this.storage = storage;
    this.offset = offset;
    this.isFixed = length !== undefined;
    this.#length = length ?? 0;
    this.#roundUpTo = roundUpTo;
  }

  /**
   * The disk's size as the storage is now, in bytes.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when the window doesn't lie within the storage; `ERR_IMG_UNSUPPORTED` when it ends with the storage, and nobody
   * knows yet where that is
   */
  measure(): number {
    const { storage, offset } = this;
    const end = offset + this.#length;
    if (end > storage.size) {
      throw new ImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `${storage.label}: the disk ends at ${String(end)} bytes: expected at most ${String(storage.size)}, where the storage ends`,
        { subject: storage.label },
      );
    }
    if (this.isFixed) {
      return this.#length;
    }
    if (storage.size === Infinity) {
      throw new ImgError(
        "ERR_IMG_UNSUPPORTED",
        `${storage.label}: a raw disk is as long as what it lies in, and that isn't known`,
        {
          subject: storage.label,
        },
      );
    }
    return alignUp(storage.size - offset, this.#roundUpTo);
  }
}
