import { ImgError } from "@img/format-core";
import { ByteQueue } from "../protocol/byte-queue.ts";
import { parseOptionReply, type OptionReply } from "../protocol/option-reply.ts";
import { serializeOption } from "../protocol/option.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";

/** Bytes that a reply to an option may have: twice what the longest one needs that makes sense. */
const replyLimit = 16 * 1024;

/** The handshake's two directions, as a client sees them. */
export class HandshakeStream {
  readonly stream: DuplexStream;
  readonly queue: ByteQueue = new ByteQueue();

  constructor(stream: DuplexStream) {
    this.stream = stream;
  }

  /**
   * Waits for the next message.
   * @throws ImgError `ECONNRESET` when the server ends the connection before it is complete; what `parse` and the stream throw
   */
  async next<T>(parse: (queue: ByteQueue) => T | undefined): Promise<T> {
    for (;;) {
      const message = parse(this.queue);
      if (message !== undefined) {
        return message;
      }
      const chunk = await this.stream.read();
      if (chunk === undefined) {
        throw new ImgError("ECONNRESET", `${this.stream.label}: the server has closed the connection`, {
          subject: this.stream.label,
        });
      }
      this.queue.push(chunk);
    }
  }

  /** Sends an option. */
  async send(option: number, data: Uint8Array = new Uint8Array()): Promise<void> {
    await this.stream.write([serializeOption({ option, data })]);
  }

  /**
   * Waits for a reply to `option`.
   * @throws ImgError `EPROTO` when it replies to something else
   */
  async reply(option: number): Promise<OptionReply> {
    const reply = await this.next((queue) => parseOptionReply(queue, replyLimit));
    if (reply.option !== option) {
      throw protocolError(`${this.stream.label}: a reply to option ${reply.option}, expected one to ${option}`);
    }
    return reply;
  }
}
