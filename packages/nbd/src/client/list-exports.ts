import { ImgError } from "@img/format-core";
import { parseExportEntry, type ExportEntry } from "../protocol/export-entry.ts";
import { optionTypes, replyTypes } from "../protocol/handshake-numbers.ts";
import { isErrorReply } from "../protocol/option-reply.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import type { ClientTls, NbdConnector } from "./client-options.ts";
import { beginHandshake } from "./begin-handshake.ts";
import type { HandshakeStream } from "./handshake-stream.ts";
import { optionError } from "./option-error.ts";
import { connectInTime, defaultHandshakeTimeout } from "./connect-in-time.ts";

/** Bytes of names and descriptions that a list may have. */
const listLimit = 16 * 1024 * 1024;

/** Options of {@link listExports}. */
export interface ListExportsOptions {
  /** Default: no TLS. */
  readonly tls?: ClientTls;
  /** Milliseconds for connecting and all. Default 10 s. */
  readonly timeout?: number;
}

/**
 * The exports that a server shows, in its order; it may have others. Makes a connection and ends it.
 * @throws ImgError `ERR_IMG_DENIED` when the server doesn't show any or wants TLS, `ERR_IMG_UNSUPPORTED` when it is too old, `ERR_IMG_LIMIT` for more
 * than 16 MiB of names; and as `NbdStorage.open`
 */
export function listExports(connect: NbdConnector, options: ListExportsOptions = {}): Promise<ExportEntry[]> {
  return connectInTime(connect, { timeout: options.timeout ?? defaultHandshakeTimeout }, async (stream) => {
    const { hands, isFixed } = await beginHandshake(stream, options.tls);
    if (!isFixed) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${stream.label}: the server is too old to list its exports`);
    }
    const entries = await list(hands);
    await hands.send(optionTypes.abort);
    await hands.stream.end();
    hands.stream.destroy();
    return entries;
  });
}

async function list(hands: HandshakeStream): Promise<ExportEntry[]> {
  const { label } = hands.stream;
  await hands.send(optionTypes.list);
  const entries: ExportEntry[] = [];
  // what an entry without a name takes here counts too
  for (let length = 0; length <= listLimit;) {
    const reply = await hands.reply(optionTypes.list);
    if (reply.type === replyTypes.ack) {
      return entries;
    }
    if (isErrorReply(reply.type)) {
      throw optionError(reply, label, "cannot list exports");
    }
    if (reply.type !== replyTypes.server) {
      throw protocolError(`${label}: a reply of type ${reply.type} in a list of exports`);
    }
    length += 256 + reply.data.length;
    entries.push(parseExportEntry(reply.data));
  }
  throw new ImgError("ERR_IMG_LIMIT", `${label}: a list of exports of more than ${listLimit} bytes`, {
    subject: label,
  });
}
