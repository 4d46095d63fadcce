import type { MaybePromise } from "@img/format-core";
import { closedError } from "./closed-error.ts";

/** What an adapter has received and nobody has read: the pull side of streams that push. */
export class StreamQueue {
  readonly #label: string;
  readonly #onRead: () => void;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;
  #state: "open" | "ended" | "failed" = "open";
  #failure: unknown;
  #waiting: { resolve: (chunk: Uint8Array | undefined) => void; reject: (error: unknown) => void } | undefined;

  /** @param onRead - called after a chunk was taken, which is when a stopped peer may go on */
  constructor(label: string, onRead: () => void) {
    this.#label = label;
    this.#onRead = onRead;
  }

  /** Bytes that nobody has read. */
  get length(): number {
    return this.#length;
  }

  /** Whether the stream has failed. */
  get isFailed(): boolean {
    return this.#state === "failed";
  }

  /** @throws why the stream failed, if it has */
  throwIfFailed(): void {
    if (this.#state === "failed") {
      throw this.#failure;
    }
  }

  /** Adds what came from the peer. After {@link end} and {@link fail}: nothing. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#state !== "open") {
      return;
    }
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      return;
    }
    this.#waiting = undefined;
    waiting.resolve(chunk);
    this.#onRead();
  }

  /** Nothing more comes. */
  end(): void {
    if (this.#state === "open") {
      this.#state = "ended";
      this.#waiting?.resolve(undefined);
      this.#waiting = undefined;
    }
  }

  /** The stream failed: what wasn't read is dropped. Only the first failure counts. */
  fail(error?: unknown): void {
    if (this.#state === "failed") {
      return;
    }
    this.#state = "failed";
    this.#failure = error ?? closedError(this.#label);
    this.#chunks.length = 0;
    this.#length = 0;
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }

  /** See `DuplexStream.read`. */
  read(): MaybePromise<Uint8Array | undefined> {
    this.throwIfFailed();
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#length -= chunk.length;
      this.#onRead();
      return chunk;
    }
    if (this.#state === "ended") {
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
