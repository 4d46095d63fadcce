import { ImgError } from "@img/format-core";
import { parseGreeting, serializeClientFlags } from "../protocol/greeting.ts";
import { handshakeFlags, optionTypes, replyTypes } from "../protocol/handshake-numbers.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { ClientTls } from "./client-options.ts";
import { HandshakeStream } from "./handshake-stream.ts";
import { optionError } from "./option-error.ts";

/** A handshake that has begun. */
export interface Handshake {
  readonly hands: HandshakeStream;
  /** Options may be tried: unknown ones are answered. Otherwise all that can be done is to name an export. */
  readonly isFixed: boolean;
  /** Whether padding follows the answer to `NBD_OPT_EXPORT_NAME`. */
  readonly zeroes: boolean;
}

/**
 * Answers a server's greeting, and protects the connection if it is to be.
 * @throws ImgError `EPROTO` when the peer is no newstyle server; `ERR_IMG_UNSUPPORTED` or `ERR_IMG_DENIED` when it has no TLS and should
 */
export async function beginHandshake(stream: DuplexStream, tls: ClientTls | undefined): Promise<Handshake> {
  const hands = new HandshakeStream(stream);
  const offered = await hands.next(parseGreeting);
  const isFixed = (offered & handshakeFlags.fixedNewstyle) !== 0;
  const zeroes = (offered & handshakeFlags.noZeroes) === 0;
  if (tls !== undefined && !isFixed) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${stream.label}: the server is too old for TLS`);
  }
  await stream.write([serializeClientFlags(offered & (handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes))]);
  return { hands: tls === undefined ? hands : await startTls(hands, tls), isFixed, zeroes };
}

async function startTls(hands: HandshakeStream, tls: ClientTls): Promise<HandshakeStream> {
  const { stream, queue } = hands;
  await hands.send(optionTypes.startTls);
  const reply = await hands.reply(optionTypes.startTls);
  if (reply.type !== replyTypes.ack) {
    throw optionError(reply, stream.label, "cannot start TLS");
  }
  if (queue.length > 0) {
    // somebody in between could have put them there, to be taken for what comes protected
    throw protocolError(`${stream.label}: ${queue.length} bytes in the clear behind the answer to STARTTLS`);
  }
  return new HandshakeStream(await tls.upgrade(stream));
}
