import type { BlockSizes } from "../protocol/info-item.ts";
import { transmissionFlags as flag } from "../protocol/handshake-numbers.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import { payloadLimit } from "../protocol/transmission-numbers.ts";
import type { NbdExport } from "./nbd-export.ts";

/** Block sizes of exports that don't say: the specification's defaults. */
const anyBlockSize: BlockSizes = { minimum: 1, preferred: 4096, maximum: payloadLimit };

/** What the server asks of requests to an export. */
export function blockSizeOf(exported: NbdExport): BlockSizes {
  return exported.blockSize ?? anyBlockSize;
}

/** Whether clients may change an export. */
export function isWritable(exported: NbdExport): boolean {
  return exported.writable && exported.write !== undefined;
}

/**
 * The transmission flags of an export.
 * @param contexts - whether the client has selected contexts of it
 */
export function transmissionFlagsOf(exported: NbdExport, style: ReplyStyle, contexts: boolean): number {
  const writable = isWritable(exported);
  const zeroes = writable && exported.writeZeroes !== undefined;
  return (
    flag.hasFlags |
    (writable ? 0 : flag.readOnly) |
    flag.sendFlush |
    flag.sendFua |
    (exported.rotational === true ? flag.rotational : 0) |
    (writable && exported.trim !== undefined ? flag.sendTrim : 0) |
    (zeroes ? flag.sendWriteZeroes : 0) |
    (style === "simple" ? 0 : flag.sendDf) |
    (exported.multiConn === false ? 0 : flag.canMultiConn) |
    (exported.cache === undefined ? 0 : flag.sendCache) |
    (zeroes && exported.fastZero === true ? flag.sendFastZero : 0) |
    (style === "extended" && contexts ? flag.blockStatusPayload : 0)
  );
}
