import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/** Payload of `NBD_CMD_BLOCK_STATUS` with `payloadLength`: only some of the contexts are asked for. */
export interface StatusFilter {
  /** Bytes that are asked about (the request's own length is that of the payload). Above 2^53 the nearest number. */
  readonly length: number;
  /** Which contexts; each at most once. */
  readonly ids: readonly number[];
}

/** The payload. */
export function serializeStatusFilter({ length, ids }: StatusFilter): Uint8Array {
  const writer = new WireWriter().uint64(length);
  for (const id of ids) {
    writer.uint32(id);
  }
  return writer.finish();
}

/** @throws ImgError `EPROTO` unless the payload is one */
export function parseStatusFilter(payload: Uint8Array): StatusFilter {
  const reader = new WireReader(payload, "a filter of contexts");
  const length = reader.uint64();
  const ids: number[] = [];
  while (reader.rest > 0) {
    ids.push(reader.uint32());
  }
  return { length, ids };
}
