import { IoVector } from "@img/io-vector";
import type { HostPlace } from "../mapping/mapping.ts";
import type { FormatAccess } from "./format-access.ts";
import { moveFast } from "./move-fast.ts";
import { peekWrite } from "./peek-write.ts";

/**
 * A write in place of one contiguous piece whose tables are in memory, as {@link readFast} for reads.
 * @returns `false`: it isn't such a write, nothing was done; `true`: done; a promise: in flight
 */
export function writeFast(access: FormatAccess, buffer: Uint8Array, offset: number): boolean | Promise<void> {
  if (buffer.length === 0 || offset + buffer.length > access.size || !access.io.tryShare()) {
    return false;
  }
  const vector = IoVector.single(buffer);
  let place: HostPlace | undefined;
  try {
    place = peekWrite(access, vector, offset);
  } finally {
    if (place === undefined) {
      access.io.release();
    }
  }
  return place !== undefined && moveFast(access, "write", vector, place);
}
