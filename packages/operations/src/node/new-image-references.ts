import type { FormatAccess, Storage } from "@img/format-core";
import type { ConvertTarget } from "./convert-target.ts";

/**
 * The options for creating an image that are about other files.
 * @param backing - the image below; `undefined`: it isn't open, if there is one
 * @param dataFile - empty
 */
export function newImageReferences(
  target: ConvertTarget,
  backing: FormatAccess | undefined,
  dataFile: Storage | undefined,
): Readonly<Record<string, unknown>> {
  const { backingFile } = target;
  return {
    ...(backingFile === undefined
      ? {}
      : { backingFile: { name: backingFile.name, format: backingFile.format }, backing: backing ?? null }),
    ...(dataFile === undefined ? {} : { dataFileName: target.dataFile, dataFile }),
  };
}
