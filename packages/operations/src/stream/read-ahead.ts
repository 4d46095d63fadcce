import { runAsync } from "@img/format-core";
import type { Progress } from "../progress.ts";
import type { ChunkSource } from "./chunk-source.ts";

type Chunk = Uint8Array<ArrayBuffer>;

/** How {@link ReadAhead} reads. */
interface ReadAheadOptions {
  /** Chunks that are read before anybody asks for them. */
  readonly readAhead: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Called once, when nothing more is read. */
  readonly close: () => Promise<void>;
}

/**
 * Chunks for whoever takes them in a loop: the next ones are read while the last one is used up. Nothing is read before the first is asked for.
 *
 * An error comes behind the chunks that were read before it, and is the end. Leaving the loop waits for what is being read.
 */
export class ReadAhead implements AsyncIterableIterator<Chunk> {
  readonly #source: ChunkSource;
  readonly #options: ReadAheadOptions;
  readonly #ready: Chunk[] = [];
  #reading: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #isRead = false;
  #failure: { readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;
  #given = 0;
  /** Calls are answered one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: ChunkSource, options: ReadAheadOptions) {
    this.#source = source;
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Chunk, undefined>> {
    return this.#inTurn(() => this.#take());
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#isRead = true;
    return this.#inTurn(async () => {
      await this.close();
      return { done: true, value: undefined };
    });
  }

  /** Reads nothing more, and waits for what is being read. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#isRead = true;
    await this.#reading;
    this.#ready.length = 0;
    await this.#options.close();
  }

  #inTurn<T>(answer: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(answer);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #take(): Promise<IteratorResult<Chunk, undefined>> {
    if (this.#closing !== undefined) {
      await this.#closing;
      return { done: true, value: undefined };
    }
    const { readAhead, signal, onProgress } = this.#options;
    let chunk: Chunk | undefined;
    try {
      signal?.throwIfAborted();
      this.#read(Math.max(1, readAhead));
      while (this.#ready.length === 0 && this.#reading !== undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      signal?.throwIfAborted();
      chunk = this.#ready.shift();
      if (chunk === undefined && this.#failure !== undefined) {
        throw this.#failure.error;
      }
    } catch (error) {
      // what failed is told, not how closing failed after that
      await this.close().catch(() => undefined);
      throw error;
    }
    if (chunk === undefined) {
      await this.close();
      return { done: true, value: undefined };
    }
    this.#read(readAhead);
    this.#given += chunk.length;
    onProgress?.({ done: this.#given, total: this.#source.length });
    return { done: false, value: chunk };
  }

  /** Sees to it that so many chunks are ready, or are being read. */
  #read(most: number): void {
    if (this.#reading === undefined && !this.#isRead && this.#ready.length < most) {
      this.#reading = this.#readUpTo(most);
    }
  }

  async #readUpTo(most: number): Promise<void> {
    try {
      while (!this.#isRead && this.#ready.length < most) {
        const chunk = await runAsync(this.#source.next(), this.#options.signal);
        if (chunk === undefined) {
          this.#isRead = true;
          return;
        }
        this.#ready.push(chunk);
        this.#wake?.();
      }
    } catch (error) {
      this.#isRead = true;
      this.#failure = { error };
    } finally {
      // at once: whoever takes a chunk now must be able to begin anew
      this.#reading = undefined;
      this.#wake?.();
    }
  }
}
