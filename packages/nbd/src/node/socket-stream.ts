import type { Socket } from "node:net";
import { ImgError, type MaybePromise } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import { StreamQueue } from "../stream/stream-queue.ts";

/** Unread bytes above which the peer is told to wait. */
const highWater = 1024 * 1024;

/**
 * A socket of Node (TCP, Unix, TLS) as a stream. The socket is the stream's from then on. Create sockets with `allowHalfOpen`, or what is sent
 * after the peer has ended its side gets lost.
 */
export class SocketStream implements DuplexStream {
  readonly label: string;
  readonly #socket: Socket;
  readonly #queue: StreamQueue;

  /** @param label - the peer; default: what the socket knows of its address */
  constructor(socket: Socket, label: string = labelOf(socket)) {
    this.label = label;
    this.#socket = socket;
    this.#queue = new StreamQueue(label, () => {
      if (socket.isPaused() && this.#queue.length < highWater) {
        socket.resume();
      }
    });
    socket.setNoDelay(true);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  read(): MaybePromise<Uint8Array | undefined> {
    return this.#queue.read();
  }

  write(buffers: readonly Uint8Array[]): MaybePromise<void> {
    this.#queue.throwIfFailed();
    const socket = this.#socket;
    if (socket.writableEnded) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} was ended`, { subject: this.label });
    }
    const last = buffers.length - 1;
    if (last < 0) {
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const callback = (error?: Error | null): void => {
        if (error) {
          reject(error);
        } else {
          resolve();
        }
      };
      if (last > 0) {
        socket.cork();
      }
      for (const [index, buffer] of buffers.entries()) {
        // one call tells of all: they are sent in order
        socket.write(buffer, index === last ? callback : undefined);
      }
      if (last > 0) {
        socket.uncork();
      }
    });
  }

  end(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.throwIfFailed();
      if (this.#socket.writableFinished) {
        resolve();
        return;
      }
      this.#socket.once("close", () => {
        reject(new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label }));
      });
      this.#socket.end(() => {
        resolve();
      });
    });
  }

  destroy(error?: unknown): void {
    this.#queue.fail(error);
    this.#socket.destroy();
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  /** Gives the socket back, with what it has received and nobody has read: for an upgrade to TLS. The stream can't be used any more. */
  release(): Socket {
    const socket = this.#socket;
    socket.pause();
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
    const unread: Uint8Array[] = [];
    while (this.#queue.length > 0) {
      const chunk = this.#queue.read();
      if (chunk instanceof Uint8Array) {
        unread.push(chunk);
      }
    }
    for (const chunk of unread.reverse()) {
      socket.unshift(chunk);
    }
    this.#queue.fail();
    return socket;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#queue.push(chunk);
    if (this.#queue.length >= highWater) {
      this.#socket.pause();
    }
  };

  readonly #onEnd = (): void => {
    this.#queue.end();
  };

  readonly #onError = (error: Error): void => {
    this.#queue.fail(error);
  };

  readonly #onClose = (): void => {
    this.#queue.end();
  };
}

function labelOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined || remotePort === undefined) {
    return "unix";
  }
  const host = remoteAddress.includes(":") ? `[${remoteAddress}]` : remoteAddress;
  return `tcp:${host}:${String(remotePort)}`;
}
