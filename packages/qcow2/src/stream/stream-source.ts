import type { Io } from "@img/format-core";

/** What is known about the start of a range of a disk that is to be streamed. */
export interface StreamExtent {
  /**
   * `data`: has to be read · `zero`: reads as zero · `unallocated`: what a backing image shows there is right. Without a backing image there is no
   * difference between the last two.
   */
  readonly kind: "data" | "zero" | "unallocated";
  /** Bytes, from 1 to what was asked about. */
  readonly length: number;
}

/** A disk that is to be streamed. It doesn't change meanwhile. */
export interface StreamSource {
  /** Bytes: a multiple of 512. */
  readonly size: number;
  /** What is known about the start of `[offset, offset + length)`, which lies within the disk; `length` ≥ 1. */
  extentAt(offset: number, length: number): Io<StreamExtent>;
  /** Fills `into` with the bytes from `offset` on; the range lies within the disk. May be asked for several ranges at once. */
  read(into: Uint8Array, offset: number): Io<void>;
}
