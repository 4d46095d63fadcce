import { ImgError } from "@img/format-core";
import type { ByteQueue } from "../protocol/byte-queue.ts";
import { parseExportNameReply } from "../protocol/export-name-reply.ts";
import { infoTypes, optionTypes, replyTypes, transmissionFlags } from "../protocol/handshake-numbers.ts";
import { parseInfoItem, type BlockSizes } from "../protocol/info-item.ts";
import { serializeInfoRequest } from "../protocol/info-request.ts";
import { parseMetaContextReply, serializeMetaContextRequest } from "../protocol/meta-context.ts";
import { isErrorReply } from "../protocol/option-reply.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import { encodeText } from "../protocol/wire-writer.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import { beginHandshake, type Handshake } from "./begin-handshake.ts";
import { checkBlockSizes, defaultBlockSizes } from "./check-block-sizes.ts";
import type { NegotiateOptions } from "./client-options.ts";
import type { HandshakeStream } from "./handshake-stream.ts";
import { optionError, serverText } from "./option-error.ts";

/** Replies to one option, at most: servers have a few things to say about an export. */
const repliesLimit = 64;

/** A connection whose handshake is done, and what was agreed on. */
export interface Negotiated {
  readonly stream: DuplexStream;
  /** What the server has sent beyond the handshake. */
  readonly queue: ByteQueue;
  readonly style: ReplyStyle;
  /** Bytes of the export. */
  readonly size: number;
  /** `transmissionFlags` */
  readonly flags: number;
  readonly blockSizes: BlockSizes;
  /** Ids of contexts, by name. */
  readonly contexts: ReadonlyMap<string, number>;
  /** What the server says that the export is; maybe empty. */
  readonly description: string;
}

interface ExportFacts {
  size: number | undefined;
  flags: number;
  blockSizes: BlockSizes;
  description: string;
}

/**
 * A client's handshake, up to where requests begin: the best replies that both sides know, contexts, and the export with its block sizes. With old
 * servers, what they can.
 *
 * @throws ImgError `ENOENT` when there is no such export, `ERR_IMG_DENIED` when the server doesn't allow it or wants TLS, `EPROTO` when it doesn't
 * keep to the protocol; others as `optionError`
 */
export async function negotiate(stream: DuplexStream, options: NegotiateOptions): Promise<Negotiated> {
  const handshake = await beginHandshake(stream, options.tls);
  const name = options.exportName ?? "";
  const { hands, isFixed } = handshake;
  const style = isFixed ? await agreeOnReplies(hands, options.replies ?? "extended") : "simple";
  const queries = options.contexts ?? ["base:allocation"];
  const contexts = style === "simple" ? new Map<string, number>() : await setContexts(hands, name, queries);
  const facts = (isFixed ? await go(hands, name, style) : undefined) ?? (await exportName(handshake, name, style));
  const { size, description, blockSizes } = facts;
  if (size === undefined) {
    throw protocolError(`${stream.label}: the server doesn't say how long the export is`);
  }
  if (!Number.isSafeInteger(size)) {
    throw new ImgError("ERR_IMG_LIMIT", `${stream.label}: an export of ${size} bytes: expected at most 2^53-1`);
  }
  // without the first one the others mean nothing
  const flags = (facts.flags & transmissionFlags.hasFlags) === 0 ? 0 : facts.flags;
  return { stream: hands.stream, queue: hands.queue, style, size, flags, blockSizes, contexts, description };
}

async function agreeOnReplies(hands: HandshakeStream, best: ReplyStyle): Promise<ReplyStyle> {
  const wanted = [
    ["extended", optionTypes.extendedHeaders],
    ["structured", optionTypes.structuredReply],
  ] as const;
  const from = { extended: 0, structured: 1, simple: 2 }[best];
  for (const [style, option] of wanted.slice(from)) {
    await hands.send(option);
    const reply = await hands.reply(option);
    if (reply.type === replyTypes.ack) {
      return style;
    }
    if (reply.type === replyTypes.errTlsReqd || reply.type === replyTypes.errShutdown) {
      throw optionError(reply, hands.stream.label, "cannot open an export");
    }
    if (!isErrorReply(reply.type)) {
      throw protocolError(`${hands.stream.label}: a reply of type ${reply.type} to option ${option}`);
    }
  }
  return "simple";
}

/** The ids of the contexts that the server has; without any if it doesn't know of contexts. */
async function setContexts(
  hands: HandshakeStream,
  name: string,
  queries: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const contexts = new Map<string, number>();
  if (queries.length === 0) {
    return contexts;
  }
  await hands.send(optionTypes.setMetaContext, serializeMetaContextRequest({ name, queries }));
  for (let count = 0; count < repliesLimit; count++) {
    const { type, data } = await hands.reply(optionTypes.setMetaContext);
    if (type === replyTypes.ack) {
      return contexts;
    }
    if (isErrorReply(type)) {
      // the export may still be opened, and if not, that tells why
      return new Map();
    }
    if (type !== replyTypes.metaContext) {
      throw protocolError(`${hands.stream.label}: a reply of type ${type} to a choice of contexts`);
    }
    const context = parseMetaContextReply(data);
    contexts.set(context.name, context.id);
  }
  throw protocolError(`${hands.stream.label}: more than ${repliesLimit} contexts`);
}

/** Opens the export by `NBD_OPT_GO`; `undefined`: the server doesn't know that. */
async function go(hands: HandshakeStream, name: string, style: ReplyStyle): Promise<ExportFacts | undefined> {
  const infos = [infoTypes.blockSize, infoTypes.description];
  await hands.send(optionTypes.go, serializeInfoRequest({ name, infos }));
  const facts: ExportFacts = { size: undefined, flags: 0, blockSizes: defaultBlockSizes, description: "" };
  for (let count = 0; count < repliesLimit; count++) {
    const reply = await hands.reply(optionTypes.go);
    if (reply.type === replyTypes.ack) {
      return facts;
    }
    if (reply.type === replyTypes.errUnsup && style !== "extended") {
      return undefined;
    }
    if (isErrorReply(reply.type)) {
      throw optionError(reply, hands.stream.label, `cannot open ${nameOf(name)}`);
    }
    if (reply.type !== replyTypes.info) {
      throw protocolError(`${hands.stream.label}: a reply of type ${reply.type} to the choice of an export`);
    }
    take(reply.data, facts, hands.stream.label);
  }
  throw protocolError(`${hands.stream.label}: more than ${repliesLimit} replies about an export`);
}

function take(data: Uint8Array, facts: ExportFacts, label: string): void {
  const item = parseInfoItem(data);
  switch (item.kind) {
    case "export":
      facts.size = item.size;
      facts.flags = item.flags;
      break;
    case "blockSize":
      facts.blockSizes = checkBlockSizes(item, label);
      break;
    case "description":
      facts.description = serverText(item.description);
      break;
    case "name":
    case "unknown":
      break;
  }
}

/** Opens the export by `NBD_OPT_EXPORT_NAME`, which can't be refused in words. */
async function exportName({ hands, zeroes }: Handshake, name: string, style: ReplyStyle): Promise<ExportFacts> {
  if (style === "extended") {
    throw protocolError(`${hands.stream.label}: a server with extended headers that doesn't know NBD_OPT_GO`);
  }
  await hands.send(optionTypes.exportName, encodeText(name));
  try {
    const { size, flags } = await hands.next((queue) => parseExportNameReply(queue, zeroes));
    return { size, flags, blockSizes: defaultBlockSizes, description: "" };
  } catch (cause) {
    if (cause instanceof ImgError && cause.code === "ECONNRESET") {
      const why = `the server has closed the connection, which is how old ones say that there is no ${nameOf(name)}`;
      throw new ImgError("ENOENT", `${hands.stream.label}: ${why}`, { cause, subject: hands.stream.label });
    }
    throw cause;
  }
}

function nameOf(name: string): string {
  return name === "" ? "default export" : `export ${JSON.stringify(name)}`;
}
