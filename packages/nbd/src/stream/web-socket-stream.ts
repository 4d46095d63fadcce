import { ImgError, type MaybePromise } from "@img/format-core";
import { closedError } from "./closed-error.ts";
import type { DuplexStream } from "./duplex-stream.ts";
import { StreamQueue } from "./stream-queue.ts";

/** Bytes that wait to be sent, above which a writer waits. */
const highWater = 1024 * 1024;
/** A `WebSocket` doesn't say when it has sent something, so it is asked. */
const pollInterval = 4;
/** Unread bytes that a peer may send to a `WebSocket` that can't make it wait. */
const unreadLimit = 64 * 1024 * 1024;

/** What is needed of a `WebSocket`, in a browser or of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void;
  /** Only of `ws`: makes the peer wait. */
  pause?(): void;
  resume?(): void;
}

/**
 * A `WebSocket` as a stream of its binary messages, wherever they begin and end. A browser's can't make its peer wait: a peer that sends 64 MiB that
 * nobody reads is dropped. It may still be connecting.
 */
export function webSocketStream(socket: WebSocketLike, label: string = "WebSocket"): DuplexStream {
  return new WebSocketStream(socket, label);
}

class WebSocketStream implements DuplexStream {
  readonly label: string;
  readonly #socket: WebSocketLike;
  readonly #queue: StreamQueue;
  readonly #opened: Promise<void>;
  #paused = false;
  #ended = false;

  constructor(socket: WebSocketLike, label: string) {
    this.label = label;
    this.#socket = socket;
    this.#queue = new StreamQueue(label, () => {
      if (this.#paused && this.#queue.length < highWater) {
        this.#paused = false;
        socket.resume?.();
      }
    });
    socket.binaryType = "arraybuffer";
    this.#opened = new Promise((resolve) => {
      if (socket.readyState > 0) {
        resolve();
      }
      socket.addEventListener("open", () => {
        resolve();
      });
      socket.addEventListener("close", () => {
        this.#queue.end();
        resolve();
      });
    });
    socket.addEventListener("error", () => {
      this.#queue.fail(new ImgError("ECONNRESET", `${label} has failed`, { subject: label }));
    });
    socket.addEventListener("message", this.#onMessage);
  }

  read(): MaybePromise<Uint8Array | undefined> {
    return this.#queue.read();
  }

  async write(buffers: readonly Uint8Array[]): Promise<void> {
    await this.#opened;
    for (const buffer of buffers) {
      while (this.#socket.bufferedAmount > highWater && this.#isOpen()) {
        await new Promise<void>((resolve) => {
          setTimeout(resolve, pollInterval);
        });
      }
      this.#queue.throwIfFailed();
      if (this.#ended || !this.#isOpen()) {
        throw closedError(this.label);
      }
      this.#socket.send(buffer.slice());
    }
  }

  /** A `WebSocket` has no half-closed state: what the peer sends afterwards is lost. */
  async end(): Promise<void> {
    await this.#opened;
    this.#queue.throwIfFailed();
    this.#ended = true;
    this.#socket.close(1000);
  }

  destroy(error?: unknown): void {
    this.#queue.fail(error);
    if (!this.#ended) {
      this.#ended = true;
      this.#socket.close();
    }
  }

  #isOpen(): boolean {
    return this.#socket.readyState === 1;
  }

  readonly #onMessage = ({ data }: { readonly data?: unknown }): void => {
    const chunk = bytesOf(data);
    if (chunk === undefined) {
      this.destroy(new ImgError("EPROTO", `${this.label}: a message that isn't binary`));
      return;
    }
    this.#queue.push(chunk);
    if (this.#queue.length < highWater || this.#paused) {
      return;
    }
    if (this.#socket.pause !== undefined) {
      this.#paused = true;
      this.#socket.pause();
    } else if (this.#queue.length > unreadLimit) {
      this.destroy(
        new ImgError("ERR_IMG_LIMIT", `${this.label}: the peer has sent ${unreadLimit} bytes that nobody reads`),
      );
    }
  };
}

function bytesOf(data: unknown): Uint8Array | undefined {
  if (data instanceof Uint8Array) {
    return data;
  }
  return data instanceof ArrayBuffer ? new Uint8Array(data) : undefined;
}
