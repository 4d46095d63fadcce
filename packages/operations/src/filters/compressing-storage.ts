import { anyLimits, ImgError, type FormatAccess, type Io, type StorageLimits } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { ImageStorage } from "./image-storage.ts";

/**
 * An image's disk whose writes are stored compressed, whole blocks at a time: what QEMU's driver `compress` is. Writes of parts of blocks read and
 * write anew what is around them; see {@link StorageLimits.request}.
 */
export class CompressingStorage extends ImageStorage {
  readonly #limits: StorageLimits;

  /** @throws ImgError `ERR_IMG_UNSUPPORTED` when the image's format has no compression */
  constructor(image: FormatAccess) {
    super(image);
    const { driver } = image;
    const block = driver.compressedBlockSize;
    if (block === undefined || driver.writeCompressed === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${String(driver)} can't hold compressed data`, {
        feature: "compression",
      });
    }
    this.#limits = { ...anyLimits, request: block, zero: block, discard: block };
  }

  override get limits(): StorageLimits {
    return this.#limits;
  }

  /** Blocks are filled up behind the disk's end; that isn't kept. */
  override *writeIo(from: IoVector, offset: number): Io<void> {
    const within = Math.min(from.length, Math.max(0, this.size - offset));
    yield* this.image.io.writeCompressed(from.slice(0, within), offset);
  }

  override *writeZeroesIo(offset: number, length: number): Io<void> {
    const within = Math.min(length, Math.max(0, this.size - offset));
    yield* this.image.io.writeZeroes(offset, within);
  }
}
