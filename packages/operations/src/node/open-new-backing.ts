import { isAbsolute } from "node:path";
import { ImgError, openerForLocation, type FormatAccess, type FormatRegistry, type Io } from "@img/format-core";
import { absolutePath, resolveBeside } from "@img/storage-fs";
import { hasProtocol } from "../info/backing-location.ts";
import type { ConvertTarget } from "./convert-target.ts";
import { openImageIo } from "./open-image.ts";

/**
 * Opens the image that is to be below a new one. The caller closes it.
 * @returns `undefined` when there is to be none
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when its name isn't a file's; `ERR_IMG_DENIED` when it is the new image's own; and as `openImage`
 */
export function* openNewBacking(
  { path: above, backingFile, gate, sleeps, storages = {} }: ConvertTarget,
  formats: FormatRegistry,
): Io<FormatAccess | undefined> {
  if (backingFile === undefined) {
    return undefined;
  }
  const spec = {
    format: backingFile.format,
    storages,
    ...(gate === undefined ? {} : { gate }),
    ...(sleeps === undefined ? {} : { sleeps }),
  };
  if (openerForLocation(backingFile.name, storages) !== undefined) {
    return yield* openImageIo({ ...spec, path: backingFile.name }, { formats });
  }
  const name = backingFile.name.replace(/^file:/, "");
  if (hasProtocol(name)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `backing file ${JSON.stringify(backingFile.name)}: expected a file`, {
      feature: "backing file",
    });
  }
  if (!isAbsolute(name) && openerForLocation(above, storages) !== undefined) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `backing file ${JSON.stringify(name)}: there is nothing beside ${above}: expected an absolute name`,
      { feature: "backing file" },
    );
  }
  const path = resolveBeside(above, name);
  if (path === absolutePath(above)) {
    throw new ImgError("ERR_IMG_DENIED", `${above}: an image can't be its own backing image`, {
      feature: "backing file",
    });
  }
  return yield* openImageIo({ ...spec, path }, { formats });
}
