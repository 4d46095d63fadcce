import { isPromise, type MaybePromise } from "@img/format-core";
import { ByteQueue } from "../protocol/byte-queue.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";

/** What came out of waiting for bytes: `more` are there; the peer `ended` its side; we were told to `stop` waiting. */
export type FillResult = "more" | "ended" | "stop";

/** The receiving side of a connection: bytes that are waited for, and waiting that can be given up. */
export class ConnectionInput {
  readonly queue: ByteQueue;
  readonly #stream: DuplexStream;
  #stopped = false;
  #ended = false;
  #onStop: ((result: FillResult) => void) | undefined;
  #reading: Promise<Uint8Array | undefined> | undefined;

  constructor(stream: DuplexStream) {
    this.#stream = stream;
    this.queue = new ByteQueue(
      stream.recycle === undefined
        ? undefined
        : (memory, length) => {
            stream.recycle?.(memory, length);
          },
    );
  }

  /** Whether the peer is known to have ended its side. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** Gives back what was taken from the queue, when nobody looks at it any more. */
  recycle(payload: readonly Uint8Array[]): void {
    for (const { buffer, length } of payload) {
      this.#stream.recycle?.(buffer, length);
    }
  }

  /** Waits for more bytes and puts them into the queue. @throws why the stream failed */
  fill(): MaybePromise<FillResult> {
    if (this.#stopped) {
      return "stop";
    }
    const chunk = this.#stream.read();
    if (!isPromise(chunk)) {
      return this.#take(chunk);
    }
    return new Promise((resolve, reject) => {
      this.#onStop = resolve;
      this.#reading = chunk;
      chunk.then((bytes) => {
        this.#onStop = undefined;
        this.#reading = undefined;
        resolve(this.#take(bytes));
      }, reject);
    });
  }

  /** From now on nobody waits for bytes any more. */
  stop(): void {
    this.#stopped = true;
    this.#onStop?.("stop");
    this.#onStop = undefined;
  }

  /** Reads on until the peer ends its side too, and forgets what comes. Never rejects. */
  async discardRest(): Promise<void> {
    this.queue.clear();
    try {
      let chunk = await (this.#reading ?? this.#stream.read());
      while (chunk !== undefined) {
        chunk = await this.#stream.read();
      }
    } catch {
      // the connection is over in any case
    }
  }

  #take(chunk: Uint8Array | undefined): FillResult {
    if (chunk === undefined) {
      this.#ended = true;
      return "ended";
    }
    this.queue.push(chunk);
    return "more";
  }
}
