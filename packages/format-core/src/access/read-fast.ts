import { IoVector } from "@img/io-vector";
import type { HostPlace } from "../mapping/mapping.ts";
import type { FormatAccess } from "./format-access.ts";
import { moveFast } from "./move-fast.ts";
import { peekRead } from "./peek-read.ts";

/**
 * A read of one contiguous piece whose tables are in memory.
 * @returns `false`: it isn't such a read, nothing was done; `true`: done; a promise: in flight
 */
export function readFast(access: FormatAccess, buffer: Uint8Array, offset: number): boolean | Promise<void> {
  if (buffer.length === 0 || !access.io.tryShare()) {
    return false;
  }
  const vector = IoVector.single(buffer);
  let place: HostPlace | undefined;
  try {
    place = peekRead(access, vector, offset);
  } finally {
    if (place === undefined) {
      access.io.release();
    }
  }
  return place !== undefined && moveFast(access, "read", vector, place);
}
