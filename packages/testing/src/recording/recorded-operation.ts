import type { StorageCall, StoragePreallocation } from "@img/format-core";

/** What a storage was told to change, with a copy of the data. */
export type RecordedOperation =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "writeZeroes"; readonly offset: number; readonly length: number; readonly allocate: boolean }
  | { readonly kind: "discard"; readonly offset: number; readonly length: number }
  | { readonly kind: "resize"; readonly size: number; readonly preallocation: StoragePreallocation }
  | { readonly kind: "flush" }
  | { readonly kind: "sync" };

/** The operation that a call is; `undefined` for calls that change nothing. */
export function operationOfCall(call: StorageCall): RecordedOperation | undefined {
  switch (call.method) {
    case "write":
      return { kind: "write", offset: call.offset, bytes: call.vector.toUint8Array() };
    case "writeZeroes":
      return {
        kind: "writeZeroes",
        offset: call.offset,
        length: call.length,
        allocate: call.options?.allocate === true,
      };
    case "discard":
      return { kind: "discard", offset: call.offset, length: call.length };
    case "resize":
      return { kind: "resize", size: call.size, preallocation: call.preallocation ?? "zero" };
    case "flush":
    case "sync":
      return { kind: call.method };
    case "read":
    case "extents":
    case "allocatedSize":
    case "invalidate":
    case "close":
      return undefined;
  }
}
