import type { ByteQueue } from "./byte-queue.ts";
import { protocolError } from "./protocol-error.ts";
import { magics } from "./transmission-numbers.ts";

/** How replies look, as agreed during the handshake. */
export type ReplyStyle = "simple" | "structured" | "extended";

/** Bytes of a reply's header. */
export const replyLength = { simple: 16, structured: 20, extended: 32 } as const;

/** A reply without chunks. If it has no error and answers a READ, the data comes next. */
export interface SimpleReply {
  readonly kind: "simple";
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** 0, or one of `errorNumbers`. */
  readonly error: number;
}

/** The header of a chunk, of which a structured reply has one or more. */
export interface ChunkHeader {
  readonly kind: "chunk";
  /** `chunkDone` */
  readonly flags: number;
  /** One of `chunkTypes`, or any other number. */
  readonly type: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Of extended replies: the request's offset; 0 in others. Above 2^53 the nearest number. */
  readonly offset: number;
  /** Bytes of payload that come next; above 2^53 the nearest number. */
  readonly length: number;
}

/** What {@link writeSimpleReply} and {@link writeChunkHeader} need to know of the request. */
export interface RepliedRequest {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
}

/** Puts a simple reply at `at`: 16 bytes. */
export function writeSimpleReply(view: DataView, at: number, request: RepliedRequest, error: number): void {
  view.setUint32(at, magics.simpleReply);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
}

/** Puts a chunk's header at `at`: 20 bytes, or 32 if `extended`. @param length - bytes of its payload */
export function writeChunkHeader(
  view: DataView,
  at: number,
  request: RepliedRequest,
  chunk: { readonly flags: number; readonly type: number; readonly length: number },
  extended: boolean,
): void {
  view.setUint32(at, extended ? magics.extendedReply : magics.structuredReply);
  view.setUint16(at + 4, chunk.flags);
  view.setUint16(at + 6, chunk.type);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
  if (extended) {
    view.setUint32(at + 16, request.offsetHigh);
    view.setUint32(at + 20, request.offsetLow);
    view.setUint32(at + 24, Math.floor(chunk.length / 0x1_0000_0000));
    view.setUint32(at + 28, chunk.length % 0x1_0000_0000);
  } else {
    view.setUint32(at + 16, chunk.length);
  }
}

/**
 * Consumes a reply's header; data or payload comes next. `undefined`: not complete yet. Simple replies are taken beside structured ones,
 * but not beside extended ones.
 * @throws ImgError `EPROTO` when it doesn't begin like one
 */
export function parseReply(queue: ByteQueue, style: ReplyStyle): SimpleReply | ChunkHeader | undefined {
  const head = queue.peek(4);
  if (head === undefined) {
    return undefined;
  }
  const magic = head.getUint32(queue.peekOffset);
  if (magic === magics.simpleReply && style !== "extended") {
    return parseSimple(queue);
  }
  if (magic === magics.structuredReply && style === "structured") {
    return parseChunk(queue, false);
  }
  if (magic === magics.extendedReply && style === "extended") {
    return parseChunk(queue, true);
  }
  throw protocolError(`a reply that begins with 0x${magic.toString(16)}, where ${style} replies were agreed on`);
}

function parseSimple(queue: ByteQueue): SimpleReply | undefined {
  const view = queue.peek(replyLength.simple);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  const reply: SimpleReply = {
    kind: "simple",
    error: view.getUint32(at + 4),
    cookieHigh: view.getUint32(at + 8),
    cookieLow: view.getUint32(at + 12),
  };
  queue.skip(replyLength.simple);
  return reply;
}

function parseChunk(queue: ByteQueue, extended: boolean): ChunkHeader | undefined {
  const view = queue.peek(extended ? replyLength.extended : replyLength.structured);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  const uint64 = (from: number): number => view.getUint32(from) * 0x1_0000_0000 + view.getUint32(from + 4);
  const chunk: ChunkHeader = {
    kind: "chunk",
    flags: view.getUint16(at + 4),
    type: view.getUint16(at + 6),
    cookieHigh: view.getUint32(at + 8),
    cookieLow: view.getUint32(at + 12),
    offset: extended ? uint64(at + 16) : 0,
    length: extended ? uint64(at + 24) : view.getUint32(at + 16),
  };
  queue.skip(extended ? replyLength.extended : replyLength.structured);
  return chunk;
}
