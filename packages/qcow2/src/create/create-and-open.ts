import { ImgError, type Io, type Storage } from "@img/format-core";
import { openImage } from "../open/open-image.ts";
import type { Qcow2Image } from "../qcow2-image.ts";
import { createImage } from "./create-image.ts";
import type { Qcow2CreateOptions } from "./create-options.ts";

/**
 * Makes a qcow2 image and opens it for writing; see `qcow2.create`.
 * @throws ImgError `ERR_IMG_DENIED`, before anything is changed, when the image is to have a backing file and neither `backing` nor `gate` says
 * how to open it
 */
export function* createAndOpen(storage: Storage, options: Qcow2CreateOptions): Io<Qcow2Image> {
  if (options.backingFile !== undefined && options.backing === undefined && options.gate === undefined) {
    throw new ImgError(
      "ERR_IMG_DENIED",
      `${storage.label} is to have the backing file ${JSON.stringify(options.backingFile.name)}: give it as "backing", or a gate that opens it (createImage() only writes the image)`,
    );
  }
  yield* createImage(storage, options);
  const image = yield* openImage(storage, {
    writable: true,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    ...(options.backing === undefined ? {} : { backing: options.backing }),
    ...(options.codecs === undefined ? {} : { codecs: options.codecs }),
    ...(options.dataFile === undefined ? {} : { dataFile: options.dataFile }),
  });
  const mode = options.dataFileRaw === true ? rawMode(options.preallocation) : (options.preallocation ?? "none");
  if (mode !== "none" && mode !== "zero") {
    yield* image.preallocate(0, image.size, mode);
    yield* image.flush();
  }
  return image;
}

/** A raw data file needs every cluster to be mapped where it is. */
function rawMode(mode: Qcow2CreateOptions["preallocation"]): "metadata" | "falloc" | "full" {
  return mode === undefined || mode === "none" || mode === "zero" ? "metadata" : mode;
}
