import { closeStorage, type Io, type Storage } from "@img/format-core";
import { createImage } from "./create-image.ts";
import type { Qcow2CreateOptions } from "./create-options.ts";

/**
 * Makes a qcow2 image and closes its storages, without reading back what was written; see `Format.createClosedIo`. What is made is durable already, so
 * nothing is synced for closing.
 *
 * @returns `false`: nothing has happened; clusters are allocated by the open image only, and a data file that isn't given is opened by it
 * @throws ImgError as {@link createImage}
 */
export function* createClosed(storage: Storage, options: Qcow2CreateOptions): Io<boolean> {
  const { preallocation = "none", dataFileName, dataFileRaw = false, dataFile = null } = options;
  const isGiven = (dataFileName === undefined) === (dataFile === null);
  if ((preallocation !== "none" && preallocation !== "zero") || dataFileRaw || !isGiven) {
    return false;
  }
  yield* createImage(storage, options);
  if (dataFile !== null) {
    yield* closeStorage(dataFile);
  }
  yield* closeStorage(storage);
  return true;
}
