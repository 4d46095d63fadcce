import { CommandError } from "@img/cli";
import type { FormatAccess } from "@img/format-core";
import type { NbdMetaContext } from "@img/nbd";
import type { ExportTraits } from "./export-plan.ts";

/**
 * The dirty bitmaps that clients are to see.
 * @throws CommandError for one that isn't there, or that means nothing
 */
export async function bitmapContexts(
  _image: FormatAccess,
  { bitmaps }: Pick<ExportTraits, "bitmaps" | "allBitmaps">,
): Promise<readonly NbdMetaContext[]> {
  const [first] = bitmaps;
  if (first !== undefined) {
    throw new CommandError(`Bitmap '${first}' is not found`);
  }
  return [];
}
