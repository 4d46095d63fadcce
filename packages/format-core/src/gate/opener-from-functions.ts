import { ImgError } from "../errors/img-error.ts";
import { perform, type MaybePromise } from "../io/io.ts";
import type { Storage } from "../storage/storage.ts";
import type { StorageOpener } from "./storage-opener.ts";

/** What {@link openerFromFunctions} takes: the methods of a {@link StorageOpener}, as plain functions. */
export interface StorageOpenerFunctions {
  /** As {@link StorageOpener.open}. */
  open(location: string, options: { readonly writable: boolean }): MaybePromise<Storage>;
  /** As {@link StorageOpener.canonical}. Absent: gates that have to compare locations refuse all of this kind. */
  canonical?(location: string): MaybePromise<string>;
}

/**
 * Makes an opener out of plain functions, `async` ones where there is something to wait for. It works in the asynchronous world only.
 *
 * @param functions - without `canonical`, the opener's throws `ERR_IMG_UNSUPPORTED`
 */
export function openerFromFunctions(functions: StorageOpenerFunctions): StorageOpener {
  return {
    open: (location, options) => perform({ label: location, async: async () => functions.open(location, options) }),
    canonical: (location) =>
      perform({
        label: location,
        async: async () => {
          if (functions.canonical === undefined) {
            throw new ImgError("ERR_IMG_UNSUPPORTED", `${location}: locations of this kind can't be compared`, {
              subject: location,
            });
          }
          return functions.canonical(location);
        },
      }),
  };
}
