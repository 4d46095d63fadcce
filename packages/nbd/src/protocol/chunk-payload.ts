import { chunkTypes } from "./transmission-numbers.ts";
import { protocolError } from "./protocol-error.ts";
import { decodeText, WireReader } from "./wire-reader.ts";
import { clipText, WireWriter } from "./wire-writer.ts";

/** Payload of `offsetHole`: zeroes that aren't sent. */
export interface HoleChunk {
  /** Bytes from the export's start. */
  readonly offset: number;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/** Payload of the error chunks. */
export interface ErrorChunk {
  /** One of `errorNumbers`, or any other number but 0. */
  readonly error: number;
  /** For people; maybe empty. */
  readonly message: string;
  /** Where it happened, in bytes from the export's start: only in `errorOffset`. */
  readonly offset?: number;
}

/** A range and what a context says about it. */
export interface StatusExtent {
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** Of `base:allocation`: `allocationFlags`. */
  readonly flags: number;
}

/** Payload of `blockStatus` and `blockStatusExtended`. */
export interface StatusChunk {
  /** The context. */
  readonly id: number;
  /** One behind the other, from the request's offset on. */
  readonly extents: readonly StatusExtent[];
}

/** The payload of a hole. */
export function serializeHole({ offset, length }: HoleChunk): Uint8Array {
  return new WireWriter().uint64(offset).uint32(length).finish();
}

/** @throws ImgError `EPROTO` unless the payload is exactly a hole of at least one byte */
export function parseHole(payload: Uint8Array): HoleChunk {
  const reader = new WireReader(payload, "a hole");
  const hole = { offset: reader.uint64(), length: reader.uint32() };
  reader.end();
  if (hole.length === 0) {
    throw protocolError("a hole of 0 bytes");
  }
  return hole;
}

/** The payload of an error; a long message is cut. */
export function serializeError({ error, message, offset }: ErrorChunk): Uint8Array {
  const text = clipText(message, 1024);
  const writer = new WireWriter().uint32(error).uint16(text.length).bytes(text);
  return (offset === undefined ? writer : writer.uint64(offset)).finish();
}

/**
 * @param type - the chunk's type. Of unknown types only the part that all error chunks have is looked at.
 * @throws ImgError `EPROTO` unless the payload is an error
 */
export function parseError(payload: Uint8Array, type: number): ErrorChunk {
  const reader = new WireReader(payload, "an error");
  const error = reader.uint32();
  const message = decodeText(reader.bytes(reader.uint16()), "an error's message");
  if (error === 0) {
    throw protocolError("an error of number 0");
  }
  if (type === chunkTypes.errorOffset) {
    const offset = reader.uint64();
    reader.end();
    return { error, message, offset };
  }
  if (type === chunkTypes.error) {
    reader.end();
  }
  return { error, message };
}

/** The payload of a block status. @param extended - 64-bit lengths and flags */
export function serializeStatus({ id, extents }: StatusChunk, extended: boolean): Uint8Array {
  const writer = new WireWriter().uint32(id);
  if (extended) {
    writer.uint32(extents.length);
  }
  for (const { length, flags } of extents) {
    if (extended) {
      writer.uint64(length).uint64(flags);
    } else {
      writer.uint32(length).uint32(flags);
    }
  }
  return writer.finish();
}

/**
 * Lengths of 0 are left to the caller, because servers send them.
 * @param extended - 64-bit lengths and flags; flags above 2^53 are the nearest number
 * @throws ImgError `EPROTO` unless the payload is exactly a status of at least one extent
 */
export function parseStatus(payload: Uint8Array, extended: boolean): StatusChunk {
  const reader = new WireReader(payload, "a block status");
  const id = reader.uint32();
  const count = extended ? reader.uint32() : reader.rest / 8;
  if (count === 0 || reader.rest !== count * (extended ? 16 : 8)) {
    throw protocolError(`a block status of ${count} extents in ${reader.rest} bytes`);
  }
  const extents: StatusExtent[] = [];
  while (reader.rest > 0) {
    extents.push(
      extended
        ? { length: reader.uint64(), flags: reader.uint64() }
        : { length: reader.uint32(), flags: reader.uint32() },
    );
  }
  return { id, extents };
}
