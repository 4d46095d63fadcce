import type { FormatAccess } from "@img/format-core";

/**
 * What operations without `await` work on: an open image, or something around one that calls it `inner`, as `SyncFormatAccess` of
 * `@img/sync` does.
 */
export type SyncImage = FormatAccess | { readonly inner: FormatAccess };

/** The open image that is meant. */
export function imageOf(image: SyncImage): FormatAccess {
  return "inner" in image ? image.inner : image;
}
