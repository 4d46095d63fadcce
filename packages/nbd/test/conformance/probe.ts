import { ByteQueue } from "../../src/protocol/byte-queue.ts";
import { parseError, parseHole, parseStatus, type StatusExtent } from "../../src/protocol/chunk-payload.ts";
import { parseExportNameReply, type ExportNameReply } from "../../src/protocol/export-name-reply.ts";
import { parseGreeting, serializeClientFlags } from "../../src/protocol/greeting.ts";
import { optionTypes, replyTypes } from "../../src/protocol/handshake-numbers.ts";
import { parseInfoItem, type InfoItem } from "../../src/protocol/info-item.ts";
import { serializeInfoRequest } from "../../src/protocol/info-request.ts";
import { parseMetaContextReply, serializeMetaContextRequest } from "../../src/protocol/meta-context.ts";
import { isErrorReply, parseOptionReply, type OptionReply } from "../../src/protocol/option-reply.ts";
import { serializeOption } from "../../src/protocol/option.ts";
import { parseReply, type ReplyStyle } from "../../src/protocol/reply.ts";
import { requestLength, writeRequest } from "../../src/protocol/request.ts";
import { chunkDone, chunkErrorBit, chunkTypes, commands, errorName } from "../../src/protocol/transmission-numbers.ts";
import type { DuplexStream } from "../../src/stream/duplex-stream.ts";

/** How long a server may be silent before the probe says so. */
const patience = 5000;
const silence = Symbol("silence");

/** A request as the probe sends it: nothing is checked, nothing is made right. */
export interface ProbeRequest {
  readonly type: number;
  readonly flags?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly payload?: Uint8Array;
  readonly cookie?: number;
  /** Offsets that a number can't hold. */
  readonly offsetHigh?: number;
}

/** All chunks of one reply. */
export interface ProbeReply {
  /** `undefined`: it worked. */
  readonly error: string | undefined;
  /** Of an error chunk. */
  readonly message: string;
  /** `simple`, or the types of the chunks. */
  readonly chunks: readonly (number | "simple")[];
  /** What a READ gave, holes filled; NaN-like 0xee where nothing was said. */
  readonly data: Uint8Array;
  readonly status: readonly { readonly id: number; readonly extents: readonly StatusExtent[] }[];
  readonly cookie: number;
}

/** A client that sends what it is told to, byte by byte if need be, and reports what came back. */
export class Probe {
  readonly stream: DuplexStream;
  readonly queue = new ByteQueue();
  style: ReplyStyle = "simple";
  flags = 0;
  size = 0;
  infos: InfoItem[] = [];
  contexts: { id: number; name: string }[] = [];
  #cookie = 0;
  /** Bytes for each write; 0: as they come. */
  fragment = 0;

  constructor(stream: DuplexStream) {
    this.stream = stream;
  }

  /** Receives the greeting and answers it. */
  static async greet(stream: DuplexStream, flags = 3): Promise<Probe> {
    const probe = new Probe(stream);
    await probe.parse(parseGreeting);
    await probe.send(serializeClientFlags(flags));
    return probe;
  }

  async send(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) {
      const step = this.fragment === 0 ? Math.max(part.length, 1) : this.fragment;
      for (let at = 0; at < part.length; at += step) {
        await this.stream.write([part.subarray(at, at + step)]);
      }
    }
  }

  async parse<T>(parse: (queue: ByteQueue) => T | undefined): Promise<T> {
    for (;;) {
      const parsed = parse(this.queue);
      if (parsed !== undefined) {
        return parsed;
      }
      const chunk = await patiently(this.stream.read());
      if (chunk === undefined) {
        throw new Error("closed");
      }
      this.queue.push(chunk);
    }
  }

  bytes(length: number): Promise<Uint8Array> {
    return this.parse((queue) => (queue.length < length ? undefined : queue.takeBytes(length)));
  }

  /** `closed` when the server ends the connection without another byte; else what came instead. */
  async ending(): Promise<string> {
    try {
      const chunk = this.queue.length > 0 ? this.queue.takeBytes(1) : await patiently(this.stream.read());
      return chunk === undefined ? "closed" : "more bytes";
    } catch (error) {
      return error instanceof Error && error.message === "silence" ? "silence" : "closed";
    }
  }

  /** Receives replies to an option up to the last one. */
  async replies(): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const reply = await this.parse((queue) => parseOptionReply(queue, 64 * 1024));
      replies.push(reply);
      if (isErrorReply(reply.type) || reply.type === replyTypes.ack) {
        return replies;
      }
    }
  }

  async ask(option: number, data: Uint8Array = new Uint8Array()): Promise<OptionReply[]> {
    await this.send(serializeOption({ option, data }));
    return this.replies();
  }

  /** What came of an option, as names of the replies' types joined by `+`; `closed`. */
  async option(option: number, data?: Uint8Array): Promise<string> {
    try {
      return (await this.ask(option, data)).map(({ type }) => replyName(type)).join("+");
    } catch (error) {
      return error instanceof Error && error.message === "silence" ? "silence" : "closed";
    }
  }

  async info(option: number, name: string, infos: readonly number[] = [3]): Promise<string> {
    const replies = await this.ask(option, serializeInfoRequest({ name, infos }));
    this.infos = replies.filter(({ type }) => type === replyTypes.info).map(({ data }) => parseInfoItem(data));
    const exported = this.infos.find((item) => item.kind === "export");
    this.size = exported?.size ?? 0;
    this.flags = exported?.flags ?? 0;
    return replyName(replies.at(-1)?.type ?? 0);
  }

  async select(name: string, queries: readonly string[]): Promise<string> {
    const replies = await this.ask(optionTypes.setMetaContext, serializeMetaContextRequest({ name, queries }));
    this.contexts = replies
      .filter(({ type }) => type === replyTypes.metaContext)
      .map(({ data }) => parseMetaContextReply(data));
    return replyName(replies.at(-1)?.type ?? 0);
  }

  exportNameReply(zeroes: boolean): Promise<ExportNameReply> {
    return this.parse((queue) => parseExportNameReply(queue, zeroes));
  }

  /** The bytes of a request. */
  request(request: ProbeRequest): { readonly cookie: number; readonly bytes: Uint8Array } {
    const extended = this.style === "extended";
    const headerLength = requestLength[extended ? "extended" : "compact"];
    const bytes = new Uint8Array(headerLength + (request.payload?.length ?? 0));
    const cookie = request.cookie ?? ++this.#cookie;
    const view = new DataView(bytes.buffer);
    const { type, flags = 0, offset = 0, length = request.payload?.length ?? 0 } = request;
    writeRequest(view, 0, { type, flags, offset, length, cookieHigh: 0x1234_5678, cookieLow: cookie }, extended);
    if (request.offsetHigh !== undefined) {
      view.setUint32(16, request.offsetHigh);
    }
    bytes.set(request.payload ?? [], headerLength);
    return { cookie, bytes };
  }

  /** Sends a request and receives its whole reply. */
  async call(request: ProbeRequest): Promise<ProbeReply> {
    await this.send(this.request(request).bytes);
    return this.reply(request);
  }

  /** Receives a whole reply. @param request - what it answers, to know how much data comes */
  async reply(request: ProbeRequest): Promise<ProbeReply> {
    const data = new Uint8Array(request.type === commands.read ? (request.length ?? 0) : 0).fill(0xee);
    const chunks: (number | "simple")[] = [];
    const status: { id: number; extents: readonly StatusExtent[] }[] = [];
    let error: string | undefined;
    let message = "";
    for (;;) {
      const header = await this.parse((queue) => parseReply(queue, this.style));
      if (header.cookieHigh !== 0x1234_5678) {
        throw new Error("a cookie that isn't ours");
      }
      if (header.kind === "simple") {
        chunks.push("simple");
        if (header.error !== 0) {
          error = errorName(header.error);
        } else if (data.length > 0) {
          data.set(await this.bytes(data.length));
        }
        return { error, message, chunks, data, status, cookie: header.cookieLow };
      }
      if (this.style === "extended" && header.offset !== (request.offset ?? 0)) {
        throw new Error(`an extended reply for offset ${header.offset}`);
      }
      const payload = await this.bytes(header.length);
      chunks.push(header.type);
      if ((header.type & chunkErrorBit) !== 0) {
        const parsed = parseError(payload, header.type);
        error = errorName(parsed.error);
        message = parsed.message;
      } else if (header.type === chunkTypes.offsetData) {
        const view = new DataView(payload.buffer, payload.byteOffset);
        const at = view.getUint32(0) * 2 ** 32 + view.getUint32(4) - (request.offset ?? 0);
        data.set(payload.subarray(8), at);
      } else if (header.type === chunkTypes.offsetHole) {
        const hole = parseHole(payload);
        data.fill(0, hole.offset - (request.offset ?? 0), hole.offset - (request.offset ?? 0) + hole.length);
      } else if (header.type === chunkTypes.blockStatus || header.type === chunkTypes.blockStatusExtended) {
        status.push(parseStatus(payload, header.type === chunkTypes.blockStatusExtended));
      }
      if ((header.flags & chunkDone) !== 0) {
        return { error, message, chunks, data, status, cookie: header.cookieLow };
      }
    }
  }

  /** What came of a request, and whether the connection still works: `EINVAL, alive`. */
  async outcome(request: ProbeRequest): Promise<string> {
    let error: string | undefined;
    try {
      ({ error } = await this.call(request));
    } catch (reason) {
      return reason instanceof Error && reason.message === "silence" ? "silence" : "closed";
    }
    return `${error ?? "ok"}, ${await this.alive()}`;
  }

  async alive(): Promise<string> {
    try {
      const { error } = await this.call({ type: commands.read, offset: 0, length: 512 });
      return error ?? "alive";
    } catch {
      return "dead";
    }
  }
}

/** Name of a reply's type: `ACK`, `ERR_INVALID`. */
function replyName(type: number): string {
  const [name] = Object.entries(replyTypes).find(([, value]) => value === type) ?? [`0x${type.toString(16)}`];
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

async function patiently<T>(answer: T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof silence>((resolve) => {
    timer = setTimeout(() => {
      resolve(silence);
    }, patience);
  });
  try {
    const first = await Promise.race([answer, late]);
    if (first === silence) {
      throw new Error("silence");
    }
    return first;
  } finally {
    clearTimeout(timer);
  }
}
