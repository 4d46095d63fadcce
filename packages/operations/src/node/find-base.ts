import { realpathSync } from "node:fs";
import { ImgError, type Io } from "@img/format-core";
import { resolveBeside } from "@img/storage-fs";
import { backingLocation, hasProtocol } from "../info/backing-location.ts";
import type { ImageInfo } from "../info/image-info.ts";
import { askHost } from "./ask-host.ts";
import { realpath } from "./host-files.ts";

/**
 * How many images below the first the one is that `name` means: a path that is absolute or, as in an image, relative to the directory of the image right
 * above; or any other name, to the letter.
 *
 * @param chain - top first, each named as it was opened
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` with the feature `"backing image"` when it isn't among them
 */
export function* findBase(chain: readonly ImageInfo[], name: string): Io<number> {
  for (const [index, { filename, backing }] of chain.entries()) {
    if (backing !== undefined && (yield* isSame(filename, backing.name, name))) {
      return index + 1;
    }
  }
  throw new ImgError(
    "ERR_IMG_OUT_OF_RANGE",
    `${JSON.stringify(name)} is none of the images below ${chain[0]?.filename ?? ""}`,
    { feature: "backing image" },
  );
}

function* isSame(above: string, backing: string, name: string): Io<boolean> {
  if (hasProtocol(name) || hasProtocol(backing)) {
    return name === backing || name === backingLocation(above, backing);
  }
  const wanted = yield* realPath(resolveBeside(above, name));
  return wanted !== undefined && wanted === (yield* realPath(resolveBeside(above, backing)));
}

function* realPath(path: string): Io<string | undefined> {
  try {
    return yield* askHost(
      path,
      () => realpath(path),
      () => realpathSync(path),
    );
  } catch {
    return undefined;
  }
}
