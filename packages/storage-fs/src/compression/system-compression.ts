import { openDeflate, type SystemDeflate } from "./deflate-library.ts";
import { openZstd, type SystemZstd } from "./zstd-library.ts";

/** Compression libraries of the system, each opened when it is first asked for; `undefined`: it isn't there. */
export interface SystemCompression {
  zstd(): SystemZstd | undefined;
  deflate(): SystemDeflate | undefined;
}

let zstd: { readonly found: SystemZstd | undefined } | undefined;
let deflate: { readonly found: SystemDeflate | undefined } | undefined;

/**
 * libzstd and libdeflate of a Linux that has them, by the native helper; for `libraryCodecs` of `@img/qcow2`. All who use them in a thread
 * share what they need.
 */
export const systemCompression: SystemCompression = {
  zstd: () => (zstd ??= { found: openZstd() }).found,
  deflate: () => (deflate ??= { found: openDeflate() }).found,
};
