import type { AnyFormat } from "../format/format-registry.ts";
import type { StorageOpeners } from "../gate/opener-by-scheme.ts";

/**
 * What a module exports to be a plug-in of a program like `img`: formats, kinds of storages, or both. By name, or as the properties of its
 * default export.
 *
 * Formats join those of the program; no two may have the same name. A location that begins with one of the schemes and a colon is opened by that
 * opener, whether the user names it or, if the gate allows it, an image does.
 */
export interface ImgPlugin {
  /** Formats that images may have. */
  readonly formats?: readonly AnyFormat[];
  /** Openers by scheme: `{ https: openerFromFunctions({ open: … }) }`. Schemes have at least two characters; `file` and `json` are taken. */
  readonly storages?: StorageOpeners;
}
