import { defineFormat, ImgError, readStorage, resizeStorage, syncStorage, writeStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { BlockMapImage } from "./block-map-image.js";
import { hasMagic, headerLength, layout, mapOffset, parseHeader, problemWith, serializeHeader } from "./header.js";

/** @import { CreateOptions, Format, OpenOptions } from "@img/format-core" */

/**
 * @typedef {CreateOptions & { blockSize?: number }} BlockMapCreateOptions `blockSize`: bytes, a power of two from 4 KiB to 16 MiB; default 64 KiB
 */

/**
 * The format: a map and the blocks that hold something. See `header.js` for the layout.
 *
 * @type {Format<BlockMapImage, OpenOptions, BlockMapCreateOptions>}
 */
export const blockMap = defineFormat({
  name: "blockmap",
  extensions: [".blockmap"],
  probeLength: 8,
  probe: (header) => (hasMagic(header) ? 100 : 0),

  *open(storage, options) {
    if (storage.size < headerLength) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `${storage.label}: ${storage.size} bytes, expected a header of ${headerLength}`,
      );
    }
    const bytes = new Uint8Array(headerLength);
    yield* readStorage(storage, IoVector.single(bytes), 0);
    const header = parseHeader(bytes, storage.label);
    const { mapLength } = layout(header);
    // before as much memory as the header says is taken
    if (storage.size < mapOffset + mapLength) {
      throw new ImgError("ERR_IMG_CORRUPT", `${storage.label}: ends within its map`, { subject: storage.label });
    }
    const map = new Uint8Array(mapLength);
    yield* readStorage(storage, IoVector.from(map), mapOffset);
    return new BlockMapImage(storage, header, map, options.writable ?? false);
  },

  *create(storage, { size = 0, blockSize = 65536, preallocation = "none" }) {
    const header = { blockSize, size };
    const problem = problemWith(header);
    if (problem !== undefined) {
      throw new RangeError(problem);
    }
    if (preallocation !== "none" && preallocation !== "zero") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `blockmap images have no preallocation ${preallocation}`);
    }
    const map = new Uint8Array(layout(header).mapLength);
    yield* resizeStorage(storage, 0);
    yield* writeStorage(storage, IoVector.from(map), mapOffset);
    // the header last: until it is there, there is no image
    yield* syncStorage(storage);
    yield* writeStorage(storage, IoVector.single(serializeHeader(header)), 0);
    yield* syncStorage(storage);
    return new BlockMapImage(storage, header, map, true);
  },
});
