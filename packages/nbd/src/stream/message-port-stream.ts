import { ImgError, type MaybePromise } from "@img/format-core";
import { protocolError } from "../protocol/protocol-error.ts";
import { closedError } from "./closed-error.ts";
import type { DuplexStream } from "./duplex-stream.ts";
import { StreamQueue } from "./stream-queue.ts";

/** Bytes that may be on their way to the other side, which says how many it has taken. */
const windowLength = 1024 * 1024;
/** Unread bytes of a peer that doesn't wait for ours. */
const unreadLimit = 64 * 1024 * 1024;

/** What is needed of a `MessagePort` (or of a worker, or its scope). */
export interface MessagePortLike {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  removeEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  /** A `MessagePort` says nothing before it was started. */
  start?(): void;
  close?(): void;
}

/**
 * A `MessagePort` as a stream: between a page and its workers, frames or an extension. The other side has to use this function too: messages are bytes, a
 * number (so many bytes were taken), `null` (nothing more comes) or `"reset"` (the connection was dropped). A peer that sends 64 MiB that nobody reads, or says
 * that more was taken than there was, is dropped.
 */
export function messagePortStream(port: MessagePortLike, label: string = "message port"): DuplexStream {
  return new MessagePortStream(port, label);
}

class MessagePortStream implements DuplexStream {
  readonly label: string;
  readonly #port: MessagePortLike;
  readonly #queue: StreamQueue;
  #taken = 0;
  #underWay = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(port: MessagePortLike, label: string) {
    this.label = label;
    this.#port = port;
    this.#queue = new StreamQueue(label, () => {
      this.#acknowledge();
    });
    port.addEventListener("message", this.#onMessage);
    port.start?.();
  }

  read(): MaybePromise<Uint8Array | undefined> {
    return this.#queue.read();
  }

  async write(buffers: readonly Uint8Array[]): Promise<void> {
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.length; at += windowLength) {
        await this.#room();
        this.#check();
        // only what the view shows: a message has the whole memory behind it otherwise
        const piece = buffer.slice(at, at + windowLength);
        this.#underWay += piece.length;
        this.#port.postMessage(piece);
      }
    }
  }

  end(): void {
    this.#check();
    this.#ended = true;
    this.#port.postMessage(null);
  }

  destroy(error?: unknown): void {
    if (!this.#queue.isFailed) {
      this.#fail(error);
      if (!this.#ended) {
        this.#port.postMessage("reset");
      }
      this.#port.removeEventListener("message", this.#onMessage);
      this.#port.close?.();
    }
  }

  #check(): void {
    this.#queue.throwIfFailed();
    if (this.#ended) {
      throw closedError(this.label);
    }
  }

  async #room(): Promise<void> {
    while (this.#underWay >= windowLength && !this.#queue.isFailed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Says what was taken, half a window at a time, so that most messages carry data. */
  #acknowledge(): void {
    const pending = this.#taken - this.#queue.length;
    if (pending >= windowLength / 2) {
      this.#taken -= pending;
      this.#port.postMessage(pending);
    }
  }

  #receive(bytes: Uint8Array): void {
    this.#taken += bytes.length;
    this.#queue.push(bytes);
    if (this.#queue.length > unreadLimit) {
      const message = `${this.label}: the peer has sent ${unreadLimit} bytes that nobody reads`;
      this.destroy(new ImgError("ERR_IMG_LIMIT", message, { subject: this.label }));
    }
  }

  /** The peer has taken so many bytes of ours. */
  #acknowledged(length: number): void {
    if (!Number.isInteger(length) || length <= 0 || length > this.#underWay) {
      this.destroy(protocolError(`${this.label}: ${length} bytes were taken, of ${this.#underWay} that were sent`));
      return;
    }
    this.#underWay -= length;
    this.#wake?.();
  }

  #fail(error: unknown): void {
    this.#queue.fail(error);
    this.#wake?.();
  }

  readonly #onMessage = ({ data }: { readonly data: unknown }): void => {
    if (data instanceof Uint8Array) {
      this.#receive(data);
    } else if (typeof data === "number") {
      this.#acknowledged(data);
    } else if (data === null) {
      this.#queue.end();
    } else if (data === "reset") {
      this.#fail(closedError(this.label));
    }
  };
}
