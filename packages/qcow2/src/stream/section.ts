import type { Io } from "@img/format-core";

/** A part of a streamed image, from its start to its end. */
export interface Section {
  /** Bytes. */
  readonly length: number;
  /**
   * Fills `into`, which is zero, with what comes next. Never short: it is asked for {@link length} bytes in all.
   * @param position - how much of the section came before, bytes
   */
  fill(into: Uint8Array, position: number): Io<void>;
}
