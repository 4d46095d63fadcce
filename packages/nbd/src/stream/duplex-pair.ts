import { ImgError, type MaybePromise } from "@img/format-core";
import type { DuplexStream } from "./duplex-stream.ts";
import { StreamQueue } from "./stream-queue.ts";

/** Unread bytes above which a writer waits. */
const highWater = 1024 * 1024;

/**
 * Two streams, each of which is the other's peer: a client and a server in one program, without a socket between them. What is written is
 * copied, and a writer waits while its peer has 1 MiB unread.
 */
export function duplexPair(label: string = "pair"): [DuplexStream, DuplexStream] {
  const left = new PairedStream(`${label}:left`);
  const right = new PairedStream(`${label}:right`);
  left.join(right);
  right.join(left);
  return [left, right];
}

class PairedStream implements DuplexStream {
  readonly label: string;
  readonly #queue: StreamQueue;
  #peer: PairedStream | undefined;
  #ended = false;
  #peerGone = false;
  #drained: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(label: string) {
    this.label = label;
    this.#queue = new StreamQueue(label, () => {
      if (this.#queue.length <= highWater) {
        this.#wakeWriter();
      }
    });
  }

  join(peer: PairedStream): void {
    this.#peer = peer;
  }

  read(): MaybePromise<Uint8Array | undefined> {
    return this.#queue.read();
  }

  write(buffers: readonly Uint8Array[]): MaybePromise<void> {
    this.#queue.throwIfFailed();
    if (this.#ended) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} was ended`, { subject: this.label });
    }
    if (this.#peerGone) {
      throw new ImgError("EPIPE", `${this.label}: the peer has gone`, { subject: this.label });
    }
    return this.#peer?.receive(buffers);
  }

  receive(buffers: readonly Uint8Array[]): MaybePromise<void> {
    for (const buffer of buffers) {
      this.#queue.push(buffer.slice());
    }
    if (this.#queue.length <= highWater) {
      return undefined;
    }
    if (this.#drained === undefined) {
      let resolve: () => void = () => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#drained = { promise, resolve };
    }
    return this.#drained.promise;
  }

  end(): void {
    this.#ended = true;
    this.#peer?.receiveEnd();
  }

  receiveEnd(): void {
    this.#queue.end();
  }

  destroy(error?: unknown): void {
    this.#queue.fail(error);
    this.#wakeWriter();
    this.#peer?.receiveReset(this.#ended);
  }

  /** @param ended - the peer has ended its side before: what it has sent stays */
  receiveReset(ended: boolean): void {
    this.#wakeWriter();
    if (ended) {
      this.#peerGone = true;
      return;
    }
    this.#queue.fail(new ImgError("ECONNRESET", `${this.label}: the peer has dropped the connection`));
  }

  #wakeWriter(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
