import {
  defineFormat,
  ImgError,
  resizeStorage,
  tryResizeStorage,
  zeroStorage,
  type Format,
  type Io,
  type Preallocation,
  type Storage,
} from "@img/format-core";
import { RawImage, storagePreallocation } from "./raw-image.ts";
import type { RawCreateOptions, RawOpenOptions } from "./raw-options.ts";

/**
 * The raw format: the storage's bytes are the disk's. Anything can be one, so a probe scores 1, the least there is.
 */
export const raw: Format<RawImage, RawOpenOptions> = defineFormat({
  name: "raw",
  aliases: ["file"],
  extensions: [".raw", ".img"],
  probeLength: 0,
  probe: () => 1,
  open: openRaw,
  create: createRaw,
});

function* openRaw(storage: Storage, options: RawOpenOptions): Io<RawImage> {
  options.chain?.enter(storage);
  return new RawImage(storage, options);
}

function* createRaw(storage: Storage, options: RawCreateOptions): Io<RawImage> {
  const { size = 0, preallocation = "none" } = options;
  if (options.backing !== undefined && options.backing !== null) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "raw images have no backing image");
  }
  if (options.dataFile !== undefined && options.dataFile !== null) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "raw images have no data file");
  }
  // from nothing: what was there must not show through
  if (!(yield* tryResizeStorage(storage, 0))) {
    yield* clearFixed(storage, size, preallocation);
    return new RawImage(storage, { writable: true, length: size });
  }
  yield* resizeStorage(storage, size, storagePreallocation(preallocation));
  return new RawImage(storage, { writable: true });
}

/** Makes a disk at the start of a storage whose length is fixed, a block device. */
function* clearFixed(storage: Storage, size: number, preallocation: Preallocation): Io<void> {
  if (size > storage.size) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `${storage.label} has ${String(storage.size)} bytes: ${String(size)} are needed`,
      { subject: storage.label },
    );
  }
  const allocate = preallocation === "falloc" || preallocation === "full";
  yield* zeroStorage(storage, 0, size, { allocate });
}
