import type { ByteQueue } from "./byte-queue.ts";
import { WireWriter } from "./wire-writer.ts";

const padding = 124;

/** The answer to `NBD_OPT_EXPORT_NAME`, which has no header. */
export interface ExportNameReply {
  /** Bytes. */
  readonly size: number;
  /** `transmissionFlags` */
  readonly flags: number;
}

/** The answer as it goes over the wire. @param zeroes - whether padding follows: unless both sides said `noZeroes` */
export function serializeExportNameReply({ size, flags }: ExportNameReply, zeroes: boolean): Uint8Array {
  return new WireWriter()
    .uint64(size)
    .uint16(flags)
    .bytes(new Uint8Array(zeroes ? padding : 0))
    .finish();
}

/**
 * Consumes the answer; `undefined`: not complete yet. `size` above 2^53 is the nearest number: to be refused.
 * @param zeroes - whether padding follows: unless both sides said `noZeroes`
 */
export function parseExportNameReply(queue: ByteQueue, zeroes: boolean): ExportNameReply | undefined {
  const length = 10 + (zeroes ? padding : 0);
  const view = queue.length < length ? undefined : queue.peek(10);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  const size = view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
  const flags = view.getUint16(at + 8);
  queue.skip(length);
  return { size, flags };
}
