import { ImgError } from "@img/format-core";
import type { ByteQueue } from "./byte-queue.ts";
import { isMagic } from "./greeting.ts";
import { optionReplyMagic } from "./handshake-numbers.ts";
import { protocolError } from "./protocol-error.ts";
import { WireWriter } from "./wire-writer.ts";

const headerLength = 20;

/** One of the server's replies to an option. */
export interface OptionReply {
  /** The option that it replies to. */
  readonly option: number;
  /** One of `replyTypes`, or any other number; from 2^31 on an error. */
  readonly type: number;
  /** Of an error: a message for people, in UTF-8, maybe empty. */
  readonly data: Uint8Array;
}

/** A reply as it goes over the wire. */
export function serializeOptionReply({ option, type, data }: OptionReply): Uint8Array {
  return new WireWriter().magic(optionReplyMagic).uint32(option).uint32(type).uint32(data.length).bytes(data).finish();
}

/**
 * Consumes a reply; `undefined`: not complete yet. Its length is checked before any of its data is waited for.
 * @param lengthLimit - most bytes of data
 * @throws ImgError `EPROTO` when it doesn't begin like one; `ERR_IMG_LIMIT` when it is longer than allowed
 */
export function parseOptionReply(queue: ByteQueue, lengthLimit: number): OptionReply | undefined {
  const view = queue.peek(headerLength);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  if (!isMagic(view, at, optionReplyMagic)) {
    throw protocolError("a reply to an option that doesn't begin with the magic number of replies");
  }
  const option = view.getUint32(at + 8);
  const type = view.getUint32(at + 12);
  const length = view.getUint32(at + 16);
  if (length > lengthLimit) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `a reply to option ${option} of ${length} bytes: expected at most ${lengthLimit}`,
    );
  }
  if (queue.length < headerLength + length) {
    return undefined;
  }
  queue.skip(headerLength);
  return { option, type, data: queue.takeBytes(length) };
}

/** Whether the type of a reply says that the option failed. */
export function isErrorReply(type: number): boolean {
  return type >= 0x8000_0000;
}
