import type { Io } from "@img/format-core";
import type { Table } from "./table.ts";

/** Gives parts of tables by their host offsets. */
export interface SliceSource {
  /** Bytes of one part; host offsets that are asked for are multiples of it. */
  readonly sliceLength: number;
  /** Whether nothing is kept in memory. */
  readonly isEmpty: boolean;
  /** The part at a host offset, if it is in memory. */
  peek(offset: number): Table | undefined;
  /** The part at a host offset; bytes past the storage's end are zero. */
  get(offset: number): Io<Table>;
}
