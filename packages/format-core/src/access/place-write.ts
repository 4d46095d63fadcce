import { IoVector } from "@img/io-vector";
import type { PreparedWrite } from "../format/driver.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import { hostOffset } from "../numbers/offsets.ts";

/** What is written where. */
export interface PlacedWrite extends HostPlace {
  readonly from: IoVector;
}

/** Puts the data of a prepared range together with what has to be written around it. */
export function placeWrite(prepared: PreparedWrite, from: IoVector): PlacedWrite {
  const { storage, offset, around } = prepared;
  if (around === undefined) {
    return { storage, offset, from };
  }
  const { buffer, start } = around;
  from.copyIntoSlice(buffer.subarray(start, start + from.length));
  return { storage, offset: hostOffset(offset - start), from: IoVector.single(buffer) };
}
