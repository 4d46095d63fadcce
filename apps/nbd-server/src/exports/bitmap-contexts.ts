import { CommandError } from "@img/cli";
import type { FormatAccess } from "@img/format-core";
import type { NbdMetaContext, StatusExtent } from "@img/nbd";
import { dirtyExtents, listBitmaps } from "@img/operations";
import type { ExportTraits } from "./export-plan.ts";

/** Extents of one answer: what is left is asked for again. */
const extentLimit = 4096;

/** Bit of a bitmap's context: written since the bitmap records it. */
const dirtyFlag = 1;

/**
 * The dirty bitmaps that clients are to see. One that the image itself doesn't have is looked for in the images below.
 * @throws CommandError for one that isn't there, or that means nothing
 */
export function bitmapContexts(
  image: FormatAccess,
  { bitmaps, allBitmaps, snapshot }: Pick<ExportTraits, "bitmaps" | "allBitmaps" | "snapshot">,
): readonly NbdMetaContext[] {
  if (snapshot !== undefined && bitmaps.length > 0) {
    throw new CommandError("bitmaps tell of the disk as it is now: they can't be had with a snapshot");
  }
  const usable = allBitmaps && snapshot === undefined ? listBitmaps(image).filter(({ inUse }) => !inUse) : [];
  const names = new Set([...bitmaps, ...usable.map(({ name }) => name)]);
  return [...names].map((name) => contextOf(layerWith(image, name), name));
}

/** The topmost image that has the bitmap. */
function layerWith(image: FormatAccess, name: string): FormatAccess {
  for (let layer: FormatAccess | null = image; layer !== null; layer = layer.driver.backing ?? null) {
    const found = listBitmaps(layer).find((bitmap) => bitmap.name === name);
    if (found?.inUse === true) {
      throw new CommandError(`Bitmap '${name}' is inconsistent and cannot be used`);
    }
    if (found !== undefined) {
      return layer;
    }
  }
  throw new CommandError(`Bitmap '${name}' is not found`);
}

function contextOf(layer: FormatAccess, name: string): NbdMetaContext {
  return {
    name: `qemu:dirty-bitmap:${name}`,
    status: async (offset, length, one) => {
      const extents: StatusExtent[] = [];
      for await (const extent of dirtyExtents(layer, name, { offset, length })) {
        extents.push({ length: extent.length, flags: extent.dirty ? dirtyFlag : 0 });
        if (one || extents.length === extentLimit) {
          break;
        }
      }
      // behind the end of an image below, nothing was ever written
      return extents.length === 0 ? [{ length, flags: 0 }] : extents;
    },
  };
}
