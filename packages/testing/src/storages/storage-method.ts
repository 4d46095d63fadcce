import type { StorageCall } from "@img/format-core";

/** A method of a storage, by its name in `Storage`, whichever world it is called in; `close` is a disposal. */
export type StorageMethod = StorageCall["method"];

/** All of them. */
export const storageMethods: readonly StorageMethod[] = [
  "read",
  "write",
  "writeZeroes",
  "discard",
  "extents",
  "allocatedSize",
  "resize",
  "flush",
  "sync",
  "invalidate",
  "close",
];

/** The range that a call is about, in bytes; `undefined` when it isn't about one. */
export function rangeOfCall(call: StorageCall): { readonly offset: number; readonly length: number } | undefined {
  return "offset" in call ? { offset: call.offset, length: call.length } : undefined;
}
