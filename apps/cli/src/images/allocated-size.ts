import type { FormatAccess } from "@img/format-core";

/** Bytes that an image's files take, and those of the images below it, as far as their storages tell. */
export async function allocatedSize(image: FormatAccess): Promise<number> {
  let size = 0;
  for (const storage of image.storages()) {
    size += (await storage.allocatedSize?.()) ?? 0;
  }
  return size;
}
