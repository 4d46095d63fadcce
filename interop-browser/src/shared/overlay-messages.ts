import type { Edit } from "./edit.ts";

/** What the page asks the overlay worker to do. */
export interface OverlayRequest {
  /** The image that the overlay stands on. */
  readonly image: File;
  /** Files that it may open. */
  readonly others: readonly File[];
  /** Name of the file to make in the origin's private file system. */
  readonly name: string;
}

/** What the worker tells, in this order: the edits, one `done` for each of them, then the result; or `failed` at any time. */
export type OverlayReply =
  | { readonly kind: "edits"; readonly edits: readonly Edit[] }
  | { readonly kind: "edited"; readonly index: number }
  | { readonly kind: "done"; readonly result: OverlayResult }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/** What became of the overlay. */
export interface OverlayResult {
  /** Length of its file in bytes. */
  readonly fileSize: number;
  /** SHA-256 of the disk, as read back through the synchronous interface after opening it again. */
  readonly sha256: string;
  /** What the check found: corruptions, leaked clusters, allocated and compressed clusters. */
  readonly corruptions: number;
  readonly leaks: number;
  readonly allocatedClusters: number;
  readonly compressedClusters: number;
}
