import type { Storage } from "@img/format-core";
import { rangeStorage } from "./range-storage.ts";

/** What is used of a `Blob` or `File`, the browser's or Node's (`fs.openAsBlob`). */
export interface BlobLike {
  readonly size: number;
  /** Of a `File`. */
  readonly name?: string;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** Options of {@link blobStorage}. */
export interface BlobStorageOptions {
  /** For people: appears in messages. Default `file:"<name>"` for a `File`, else `"blob"`. */
  readonly label?: string;
}

/**
 * A `Blob` or `File` as a storage that can be read.
 *
 * Only what is read is loaded, at most 8 MiB in one piece. A `File` is a snapshot: once the file on the user's disk has changed, the browser refuses to
 * read it, and reads fail with `EIO` (`NotReadableError` is the cause). Closing leaves the blob alone.
 */
export function blobStorage(blob: BlobLike, options: BlobStorageOptions = {}): Storage {
  const { name } = blob;
  return rangeStorage({
    size: blob.size,
    label: options.label ?? (name === undefined ? "blob" : `file:${JSON.stringify(name)}`),
    getRange: (offset, length) => blob.slice(offset, offset + length).arrayBuffer(),
  });
}
