import { ImgError, openerFromFunctions } from "@img/format-core";
import { HttpRangeStorage } from "./http-range-storage.js";

export { HttpRangeStorage } from "./http-range-storage.js";

/**
 * Opens what lies at `http:` and `https:` URLs, for gates and for `img --plugin`.
 *
 * @param {import("./http-range-storage.js").HttpRangeOptions} [options] for all that it opens
 * @returns {import("@img/format-core").StorageOpener}
 */
export function httpOpener(options) {
  return openerFromFunctions({
    open: (location, { writable }) => {
      if (writable) {
        throw new ImgError("ERR_IMG_READ_ONLY", `${location} can only be read`, { subject: location });
      }
      return HttpRangeStorage.open(location, options);
    },
    canonical: (location) => {
      const url = new URL(location);
      // a server may take them for slashes, so that what looks like one name leads elsewhere
      if (/%2f|%5c/i.test(url.pathname)) {
        throw new ImgError("ERR_IMG_DENIED", `${location} has an escaped slash in its path`, { subject: location });
      }
      url.hash = "";
      return url.href;
    },
  });
}

/** @type {import("@img/format-core").StorageOpeners} */
export const storages = { http: httpOpener(), https: httpOpener() };
