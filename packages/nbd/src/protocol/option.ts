import { ImgError } from "@img/format-core";
import type { ByteQueue } from "./byte-queue.ts";
import { isMagic } from "./greeting.ts";
import { optionMagic } from "./handshake-numbers.ts";
import { protocolError } from "./protocol-error.ts";
import { WireWriter } from "./wire-writer.ts";

const headerLength = 16;

/** What a client asks for during the handshake. */
export interface NbdOption {
  /** One of `optionTypes`, or any other number. */
  readonly option: number;
  readonly data: Uint8Array;
}

/** An option as it goes over the wire. */
export function serializeOption({ option, data }: NbdOption): Uint8Array {
  return new WireWriter().magic(optionMagic).uint32(option).uint32(data.length).bytes(data).finish();
}

/**
 * Consumes an option; `undefined`: not complete yet. Its length is checked before any of its data is waited for.
 * @param lengthLimit - most bytes of data
 * @throws ImgError `EPROTO` when it doesn't begin like one; `ERR_IMG_LIMIT` when it is longer than allowed: there is no way to go on
 */
export function parseOption(queue: ByteQueue, lengthLimit: number): NbdOption | undefined {
  const view = queue.peek(headerLength);
  if (view === undefined) {
    return undefined;
  }
  const at = queue.peekOffset;
  if (!isMagic(view, at, optionMagic)) {
    throw protocolError("an option that doesn't begin with IHAVEOPT");
  }
  const option = view.getUint32(at + 8);
  const length = view.getUint32(at + 12);
  if (length > lengthLimit) {
    throw new ImgError("ERR_IMG_LIMIT", `option ${option} of ${length} bytes: expected at most ${lengthLimit}`);
  }
  if (queue.length < headerLength + length) {
    return undefined;
  }
  queue.skip(headerLength);
  return { option, data: queue.takeBytes(length) };
}
