import type { Io } from "@img/format-core";

/** Bytes that come one chunk after the other. */
export interface ChunkSource {
  /** Bytes in all. */
  readonly length: number;
  /** The next ones, in a new buffer; `undefined`: that was all. One call at a time. */
  next(): Io<Uint8Array<ArrayBuffer> | undefined>;
}
