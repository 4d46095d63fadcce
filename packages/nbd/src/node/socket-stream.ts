import { Socket, type SocketConstructorOpts } from "node:net";
import { ImgError, type MaybePromise } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import { StreamQueue } from "../stream/stream-queue.ts";
import { ReceiveMemory, ReceivePool } from "./receive-memory.ts";

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
  /** Where bytes are received, if the socket can be told. */
  #memory: ReceiveMemory | undefined;
  /** Whether the peer was told to wait. */
  #held = false;

  /** @param label - the peer; default: what the socket knows of its address */
  constructor(socket: Socket, label: string = labelOf(socket)) {
    this.label = label;
    this.#socket = socket;
    this.#queue = new StreamQueue(label, () => {
      if (this.#held && this.#queue.length < highWater) {
        this.#held = false;
        socket.resume();
      }
    });
    socket.setNoDelay(true);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  /**
   * What makes streams of the sockets that a server accepts paused (`pauseOnConnect`, `allowHalfOpen`). They receive into memory that is used again, which
   * all of them share: new memory for every 64 KiB, and its collection, take more time than receiving. The sockets themselves can't be used any more.
   */
  static acceptor(): (socket: Socket) => SocketStream {
    const pool = new ReceivePool();
    return (socket) => SocketStream.#accept(socket, pool);
  }

  static #accept(socket: Socket, pool: ReceivePool): SocketStream {
    const handle = takeHandle(socket);
    if (handle === undefined) {
      const stream = new SocketStream(socket);
      socket.resume();
      return stream;
    }
    const memory = new ReceiveMemory(pool);
    // bytes come when this turn of the event loop is over: the stream is there by then
    const onread = {
      buffer: (): Uint8Array => memory.room(),
      callback: (length: number): boolean => stream.#received(memory.received(length)),
    };
    const stream = new SocketStream(new Socket({ handle, allowHalfOpen: true, onread } as SocketConstructorOpts));
    stream.#memory = memory;
    return stream;
  }

  read(): MaybePromise<Uint8Array | undefined> {
    return this.#queue.read();
  }

  recycle(memory: ArrayBufferLike, length: number): void {
    this.#memory?.giveBack(memory, length);
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
    let report: ((error?: Error | null) => void) | undefined;
    const callback = (error?: Error | null): void => {
      report?.(error);
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
    if (socket.writableLength === 0 && socket.errored === null && !socket.destroyed) {
      // the host has taken everything at once; the call comes later all the same
      return undefined;
    }
    return new Promise((resolve, reject) => {
      report = (error) => {
        if (error) {
          reject(error);
        } else {
          resolve();
        }
      };
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

  readonly #onData = (chunk: Uint8Array): void => {
    if (!this.#received(chunk)) {
      this.#socket.pause();
    }
  };

  /** @returns whether more may come now */
  #received(chunk: Uint8Array): boolean {
    this.#queue.push(chunk);
    this.#held = this.#queue.length >= highWater;
    return !this.#held;
  }

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

/**
 * What the host knows a socket by, taken from it. Node has the receiving into given buffers for sockets that it makes itself (`onread`), and passes
 * accepted ones on in this way only; where it isn't as expected, the socket stays as it is.
 */
function takeHandle(socket: Socket): object | undefined {
  const owner = socket as unknown as { _handle?: unknown };
  const handle = owner._handle;
  if (typeof handle !== "object" || handle === null || !("useUserBuffer" in handle) || socket.destroyed) {
    return undefined;
  }
  owner._handle = null;
  return handle;
}

function labelOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined || remotePort === undefined) {
    return "unix";
  }
  const host = remoteAddress.includes(":") ? `[${remoteAddress}]` : remoteAddress;
  return `tcp:${host}:${String(remotePort)}`;
}
