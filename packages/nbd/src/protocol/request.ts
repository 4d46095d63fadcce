import type { ByteQueue } from "./byte-queue.ts";
import { protocolError } from "./protocol-error.ts";
import { magics } from "./transmission-numbers.ts";

/** Bytes of a request without its payload. */
export const requestLength = { compact: 28, extended: 32 } as const;

/** Header of a request of the transmission phase. */
export interface NbdRequest {
  /** `commandFlags` */
  readonly flags: number;
  /** One of `commands`, or any other number. */
  readonly type: number;
  /** The client's name for the request, in two halves of 32 bits. Means nothing to the server. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Bytes; above 2^53 the nearest number, which is past every export's end. */
  readonly offset: number;
  /** The exact offset, in two halves of 32 bits: extended replies repeat it. */
  readonly offsetHigh: number;
  readonly offsetLow: number;
  /** Bytes that the request is about, or that follow it; above 2^53 the nearest number. */
  readonly length: number;
}

/** What {@link writeRequest} needs to know. */
export type NewRequest = Pick<NbdRequest, "flags" | "type" | "cookieHigh" | "cookieLow" | "offset" | "length">;

/** Puts a request's header at `at`: {@link requestLength} bytes. `offset` and `length` are safe integers. */
export function writeRequest(view: DataView, at: number, request: NewRequest, extended: boolean): void {
  view.setUint32(at, extended ? magics.extendedRequest : magics.request);
  view.setUint16(at + 4, request.flags);
  view.setUint16(at + 6, request.type);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
  view.setUint32(at + 16, Math.floor(request.offset / 0x1_0000_0000));
  view.setUint32(at + 20, request.offset % 0x1_0000_0000);
  if (extended) {
    view.setUint32(at + 24, Math.floor(request.length / 0x1_0000_0000));
    view.setUint32(at + 28, request.length % 0x1_0000_0000);
  } else {
    view.setUint32(at + 24, request.length);
  }
}

/**
 * Consumes a request's header; its payload, if it has one, comes next. `undefined`: not complete yet.
 * @throws ImgError `EPROTO` when it doesn't begin like one
 */
export function parseRequest(queue: ByteQueue, extended: boolean): NbdRequest | undefined {
  const view = queue.peek(extended ? requestLength.extended : requestLength.compact);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  const magic = view.getUint32(at);
  if (magic !== (extended ? magics.extendedRequest : magics.request)) {
    throw protocolError(`a request that begins with 0x${magic.toString(16)}`);
  }
  const offsetHigh = view.getUint32(at + 16);
  const offsetLow = view.getUint32(at + 20);
  const request = {
    flags: view.getUint16(at + 4),
    type: view.getUint16(at + 6),
    cookieHigh: view.getUint32(at + 8),
    cookieLow: view.getUint32(at + 12),
    offset: offsetHigh * 0x1_0000_0000 + offsetLow,
    offsetHigh,
    offsetLow,
    length: extended ? view.getUint32(at + 24) * 0x1_0000_0000 + view.getUint32(at + 28) : view.getUint32(at + 24),
  };
  queue.skip(extended ? requestLength.extended : requestLength.compact);
  return request;
}
