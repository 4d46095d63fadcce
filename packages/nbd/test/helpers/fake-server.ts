import { ByteQueue } from "../../src/protocol/byte-queue.ts";
import { parseClientFlags, serializeGreeting } from "../../src/protocol/greeting.ts";
import { optionTypes, replyTypes, transmissionFlags } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoItem, type BlockSizes } from "../../src/protocol/info-item.ts";
import { serializeMetaContextReply } from "../../src/protocol/meta-context.ts";
import { serializeOptionReply } from "../../src/protocol/option-reply.ts";
import { parseOption, type NbdOption } from "../../src/protocol/option.ts";
import { parseRequest, type NbdRequest } from "../../src/protocol/request.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { replyLength, writeChunkHeader, writeSimpleReply, type ReplyStyle } from "../../src/protocol/reply.ts";
import { duplexPair, type DuplexStream, type NbdConnector } from "../../src/index.ts";

/** What a {@link FakeServer} offers. */
export interface FakeExport {
  readonly style?: ReplyStyle;
  readonly size?: number;
  readonly flags?: number;
  readonly blockSizes?: BlockSizes;
}

const everything =
  transmissionFlags.hasFlags |
  transmissionFlags.sendFlush |
  transmissionFlags.sendTrim |
  transmissionFlags.sendWriteZeroes;

/** Id of `base:allocation`. */
export const contextId = 7;

/** A server that says whatever a test wants it to, right or wrong. */
export class FakeServer {
  readonly stream: DuplexStream;
  readonly queue: ByteQueue = new ByteQueue();
  #style: ReplyStyle = "simple";

  constructor(stream: DuplexStream) {
    this.stream = stream;
  }

  /** A connector to a new server for each connection, which follows `script` to its end. */
  static connector(script: (server: FakeServer, connection: number) => Promise<void>): NbdConnector {
    let count = 0;
    return () => {
      const [left, right] = duplexPair("fake");
      const server = new FakeServer(right);
      // the client may be gone before the script is done
      script(server, count++).catch(() => undefined);
      return left;
    };
  }

  async next<T>(parse: (queue: ByteQueue) => T | undefined): Promise<T> {
    for (;;) {
      const message = parse(this.queue);
      if (message !== undefined) {
        return message;
      }
      const chunk = await this.stream.read();
      if (chunk === undefined) {
        throw new Error("the client has gone");
      }
      this.queue.push(chunk);
    }
  }

  async send(...buffers: readonly Uint8Array[]): Promise<void> {
    await this.stream.write(buffers);
  }

  async greet(flags = 3): Promise<void> {
    await this.send(serializeGreeting(flags));
    await this.next(parseClientFlags);
  }

  option(): Promise<NbdOption> {
    return this.next((queue) => parseOption(queue, 65536));
  }

  async reply(option: number, type: number, data: Uint8Array = new Uint8Array()): Promise<void> {
    await this.send(serializeOptionReply({ option, type, data }));
  }

  /** A handshake as it should be. */
  async handshake(fake: FakeExport = {}): Promise<void> {
    this.#style = fake.style ?? "structured";
    await this.greet();
    for (;;) {
      const { option } = await this.option();
      const agreed = { simple: 0, structured: optionTypes.structuredReply, extended: optionTypes.extendedHeaders };
      if (option === optionTypes.go) {
        await this.go(fake);
        return;
      }
      if (option === optionTypes.setMetaContext) {
        const data = serializeMetaContextReply({ id: contextId, name: "base:allocation" });
        await this.reply(option, replyTypes.metaContext, data);
        await this.reply(option, replyTypes.ack);
      } else {
        await this.reply(option, option === agreed[this.#style] ? replyTypes.ack : replyTypes.errUnsup);
      }
    }
  }

  async go({ size = 1024 * 1024, flags = everything, blockSizes }: FakeExport): Promise<void> {
    const info = (item: Parameters<typeof serializeInfoItem>[0]): Promise<void> =>
      this.reply(optionTypes.go, replyTypes.info, serializeInfoItem(item));
    await info({ kind: "export", size, flags });
    if (blockSizes !== undefined) {
      await info({ kind: "blockSize", ...blockSizes });
    }
    await this.reply(optionTypes.go, replyTypes.ack);
  }

  /** The next request, without its payload. */
  async request(): Promise<NbdRequest> {
    const request = await this.next((queue) => parseRequest(queue, this.#style === "extended"));
    if (request.type === commands.write) {
      await this.next((queue) => (queue.length < request.length ? undefined : queue.take(request.length)));
    }
    return request;
  }

  simple(request: NbdRequest, error = 0): Uint8Array {
    const bytes = new Uint8Array(replyLength.simple);
    writeSimpleReply(new DataView(bytes.buffer), 0, request, error);
    return bytes;
  }

  /** A chunk; its header may claim another length than the payload has. */
  chunk(
    request: NbdRequest,
    { type, flags = 0, payload = new Uint8Array(), length = payload.length }: FakeChunk,
  ): Uint8Array {
    const extended = this.#style === "extended";
    const head = extended ? replyLength.extended : replyLength.structured;
    const bytes = new Uint8Array(head + payload.length);
    writeChunkHeader(new DataView(bytes.buffer), 0, request, { flags, type, length }, extended);
    bytes.set(payload, head);
    return bytes;
  }

  /** Answers requests without a payload with success until the client goes. */
  async obey(): Promise<void> {
    for (;;) {
      const request = await this.request();
      if (request.type === commands.disconnect) {
        this.stream.destroy();
        return;
      }
      await this.send(this.simple(request), new Uint8Array(request.type === commands.read ? request.length : 0));
    }
  }
}

/** What {@link FakeServer.chunk} makes. */
export interface FakeChunk {
  readonly type: number;
  readonly flags?: number;
  readonly payload?: Uint8Array;
  readonly length?: number;
}
