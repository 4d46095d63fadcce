import type { StorageOpener } from "./storage-opener.ts";

/** Openers by the scheme of the locations that they open: `{ https: opener }` for `https://…`. Lower case, without the colon. */
export type StorageOpeners = Readonly<Record<string, StorageOpener>>;

/**
 * The opener for a location that begins with a scheme and a colon. Schemes are letters, digits, `+`, `-` and `.` (RFC 3986, section 3.1),
 * in upper or lower case; a single letter is none, but the drive of a Windows path.
 *
 * @returns `undefined` when it has no scheme, or one that isn't among `openers`
 */
export function openerForLocation(location: string, openers: StorageOpeners): StorageOpener | undefined {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1]?.toLowerCase();
  return scheme !== undefined && Object.hasOwn(openers, scheme) ? openers[scheme] : undefined;
}

/**
 * One opener out of several, for gates: the scheme of a location decides who opens it.
 *
 * @param openers - by scheme
 * @param otherwise - opens everything else, for example files
 */
export function openerByScheme(openers: StorageOpeners, otherwise: StorageOpener): StorageOpener {
  const choose = (location: string): StorageOpener => openerForLocation(location, openers) ?? otherwise;
  return {
    open: (location, options) => choose(location).open(location, options),
    canonical: (location) => choose(location).canonical(location),
  };
}
