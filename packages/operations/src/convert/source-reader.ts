import type { Io } from "@img/format-core";

/** How far a conversion is, for somebody who judges whether helping is worth it. */
export interface ConvertState {
  /** Bytes dealt with. */
  readonly done: number;
  /** Bytes in all. */
  readonly total: number;
  /** Whether data was met that takes the processor more than moving it does: compressed data. */
  readonly packed: boolean;
}

/** Somebody who reads a conversion's sources beside the thread that converts. */
export interface SourceReader {
  /** A buffer that {@link read} can fill. */
  allocate(length: number): Uint8Array;
  /** Told between parts. */
  consider(state: ConvertState): void;
  /** Fills `into` with the disk's bytes from `offset` on. `false`: it couldn't, for whatever reason, and the bytes are undefined. */
  read(into: Uint8Array, offset: number): Io<boolean>;
}
