import type { ByteQueue } from "./byte-queue.ts";
import { initPasswd, oldstyleMagic, optionMagic } from "./handshake-numbers.ts";
import { protocolError } from "./protocol-error.ts";
import { WireWriter } from "./wire-writer.ts";

/** The first bytes of a newstyle server. @param flags - `handshakeFlags` */
export function serializeGreeting(flags: number): Uint8Array {
  return new WireWriter().magic(initPasswd).magic(optionMagic).uint16(flags).finish();
}

/**
 * Consumes a greeting and gives its `handshakeFlags`; `undefined`: not complete yet.
 * @throws ImgError `EPROTO` when it is no greeting, or one of an oldstyle server
 */
export function parseGreeting(queue: ByteQueue): number | undefined {
  // looked at as soon as it tells something: an oldstyle or foreign server may send no more
  const head = queue.peek(8);
  if (head === undefined) {
    return undefined;
  }
  if (!isMagic(head, queue.peekOffset, initPasswd)) {
    throw protocolError("the peer is no NBD server: its greeting doesn't begin with NBDMAGIC");
  }
  const style = queue.peek(16);
  if (style === undefined) {
    return undefined;
  }
  if (isMagic(style, queue.peekOffset + 8, oldstyleMagic)) {
    throw protocolError("an oldstyle NBD server: only newstyle is supported");
  }
  if (!isMagic(style, queue.peekOffset + 8, optionMagic)) {
    throw protocolError("a greeting that is neither newstyle nor oldstyle");
  }
  const view = queue.peek(18);
  if (view === undefined) {
    return undefined;
  }
  const flags = view.getUint16(queue.peekOffset + 16);
  queue.skip(18);
  return flags;
}

/** The client's answer to a greeting. @param flags - `handshakeFlags` */
export function serializeClientFlags(flags: number): Uint8Array {
  return new WireWriter().uint32(flags).finish();
}

/** Consumes the client's answer to the greeting and gives its flags; `undefined`: not complete yet. */
export function parseClientFlags(queue: ByteQueue): number | undefined {
  const view = queue.peek(4);
  if (view === undefined) {
    return undefined;
  }
  const flags = view.getUint32(queue.peekOffset);
  queue.skip(4);
  return flags;
}

/** Whether a view has this 64-bit constant at `at`. */
export function isMagic(view: DataView, at: number, [high, low]: readonly [high: number, low: number]): boolean {
  return view.getUint32(at) === high && view.getUint32(at + 4) === low;
}
