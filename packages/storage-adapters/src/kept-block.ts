import { RangeSet } from "./range-set.ts";

/** Bytes of a block. */
export const blockLength: number = 64 * 1024;

/** A part of a stream that has passed, as far as its bytes are kept. Ranges count from the block's start. */
export class KeptBlock {
  /** Where it lies in the stream, in blocks. */
  readonly index: number;
  /** The bytes that can be read. */
  readonly present: RangeSet = new RangeSet();
  /** The bytes that nobody has read yet: they are all present. */
  readonly unread: RangeSet = new RangeSet();
  /** Whether all of it has passed, so that nothing will be added. */
  isComplete = false;
  /** Whether a part was read by a read of a table. */
  isTable = false;
  /** The bytes, while they are in memory. */
  bytes: Uint8Array | undefined;
  /** The place where they were spilled to, in blocks. */
  slot: number | undefined;
  /** How many are just moving the bytes. */
  users = 0;
  /** Nobody wants it any more. */
  isDropped = false;

  constructor(index: number, bytes: Uint8Array) {
    this.index = index;
    this.bytes = bytes;
  }
}
