import {
  defineFormat,
  ImgError,
  resizeStorage,
  writeStorage,
  type CreateOptions,
  type Format,
  type Io,
  type OpenOptions,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { BlocksImage, type BlocksFlaw } from "./blocks-image.ts";
import { dataOffset, headerLength, probeBlocks, serializeHeader } from "./layout.ts";

/** Blocks that a new image's map has room for. */
const entries = 1024;

/**
 * The format that the format suite is tested with.
 * @param blockSize - bytes, a power of two
 * @param flaw - a mistake that it is to make
 */
export function blocksFormat(blockSize: number, flaw?: BlocksFlaw): Format<BlocksImage> {
  function* create(storage: Storage, options: CreateOptions): Io<BlocksImage> {
    const { size = 0, preallocation = "none" } = options;
    if (preallocation !== "none" && preallocation !== "zero") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `can't preallocate ${preallocation}`);
    }
    yield* resizeStorage(storage, 0);
    yield* resizeStorage(storage, dataOffset(entries));
    yield* writeStorage(storage, IoVector.single(serializeHeader({ blockSize, entries, size })), 0);
    return yield* BlocksImage.open(storage, true, flaw);
  }
  return defineFormat<BlocksImage, OpenOptions, CreateOptions>({
    name: "blocks",
    extensions: [".blk"],
    probeLength: headerLength,
    probe: probeBlocks,
    open: (storage, { writable = false }) => BlocksImage.open(storage, writable, flaw),
    create,
  });
}
