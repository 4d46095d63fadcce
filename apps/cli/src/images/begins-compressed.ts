import type { FormatAccess } from "@img/format-core";

/** Runs that are looked at: each takes a look at a table. */
const mostRuns = 64;

/** Whether the first data of a disk is such that it has to be decompressed, as far as a short look tells. */
export async function beginsCompressed(image: FormatAccess): Promise<boolean> {
  let offset = 0;
  for (let runs = 0; runs < mostRuns && offset < image.size; runs++) {
    const { kind, length } = await image.getMapping(offset, image.size - offset);
    if (kind === "raw" || kind === "special") {
      return kind === "special";
    }
    offset += length;
  }
  return false;
}
