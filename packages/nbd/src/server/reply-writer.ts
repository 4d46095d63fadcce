import { isPromise } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";

/** Most bytes of one write: progress is seen, and memory comes back, so often. */
const writeLimit = 1024 * 1024;

interface Piece {
  memory: Uint8Array;
  start: number;
  end: number;
}

/** Something that is done when a reply is sent completely. */
interface Sent {
  readonly region: Region;
  readonly whenSent: (() => void) | undefined;
}

/**
 * Sends the replies of a connection. While one write is under way, replies gather for the next one; replies that lie behind each other
 * in memory become one buffer.
 */
export class ReplyWriter {
  readonly #stream: DuplexStream;
  readonly #memory: ReplyMemory;
  readonly #onFailure: (error: unknown) => void;
  #pieces: Piece[] = [];
  #sent: Sent[] = [];
  #writing = false;
  #sending: Promise<void> | undefined;
  #onTaken: (() => void) | undefined;
  #scheduled = false;
  #failed = false;
  #pendingBytes = 0;
  #writeCount = 0;

  /** @param onFailure - called once when the stream doesn't take anything any more */
  constructor(stream: DuplexStream, memory: ReplyMemory, onFailure: (error: unknown) => void) {
    this.#stream = stream;
    this.#memory = memory;
    this.#onFailure = onFailure;
  }

  /** Whether something is under way. */
  get isBusy(): boolean {
    return this.#writing;
  }

  /** Whether nothing can be sent any more. */
  get isFailed(): boolean {
    return this.#failed;
  }

  /** Bytes that wait for the next write. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Grows with every write that the stream has taken. */
  get writeCount(): number {
    return this.#writeCount;
  }

  /** Puts a reply behind the others. `whenSent` is called when the stream has taken it, or never will. */
  add(region: Region, whenSent?: () => void): void {
    const { slab, start, end } = region;
    const last = this.#pieces.at(-1);
    if (last?.memory === slab.memory && last.end === start) {
      last.end = end;
    } else {
      this.#pieces.push({ memory: slab.memory, start, end });
    }
    this.#sent.push({ region, whenSent });
    this.#pendingBytes += end - start;
  }

  /** Sends soon, together with what becomes ready until then. */
  schedule(): void {
    if (this.#scheduled || this.#writing) {
      return;
    }
    this.#scheduled = true;
    const callback = (): void => {
      this.#scheduled = false;
      this.flush();
    };
    if (this.#stream.defer === undefined) {
      queueMicrotask(callback);
    } else {
      this.#stream.defer(callback);
    }
  }

  /** Sends what is there, unless a write is under way: then it follows. */
  flush(): void {
    if (!this.#writing && this.#pieces.length > 0) {
      this.#sending = this.#send();
    }
  }

  /** Settled when the write that is under way is done. */
  taken(): Promise<void> {
    return this.#writing
      ? new Promise((resolve) => {
          this.#onTaken = resolve;
        })
      : Promise.resolve();
  }

  /** Settled when everything that is there was sent, or never will be. */
  async settled(): Promise<void> {
    this.flush();
    while (this.#writing) {
      await this.#sending;
    }
  }

  async #send(): Promise<void> {
    this.#writing = true;
    while (this.#pieces.length > 0) {
      const pieces = this.#pieces;
      const sent = this.#sent;
      this.#pieces = [];
      this.#sent = [];
      this.#pendingBytes = 0;
      try {
        if (!this.#failed) {
          await this.#write(pieces);
        }
      } catch (error) {
        this.#failed = true;
        this.#onFailure(error);
      }
      this.#onTaken?.();
      this.#onTaken = undefined;
      for (const { region, whenSent } of sent) {
        this.#memory.release(region);
        whenSent?.();
      }
    }
    this.#writing = false;
  }

  async #write(pieces: readonly Piece[]): Promise<void> {
    let batch: Uint8Array[] = [];
    let length = 0;
    for (const { memory, start, end } of pieces) {
      for (let at = start; at < end;) {
        const stop = Math.min(end, at + writeLimit - length);
        batch.push(memory.subarray(at, stop));
        length += stop - at;
        at = stop;
        if (length === writeLimit) {
          await this.#writeBatch(batch);
          batch = [];
          length = 0;
        }
      }
    }
    if (length > 0) {
      await this.#writeBatch(batch);
    }
  }

  async #writeBatch(batch: readonly Uint8Array[]): Promise<void> {
    const answer = this.#stream.write(batch);
    if (isPromise(answer)) {
      await answer;
    }
    this.#writeCount++;
  }
}
