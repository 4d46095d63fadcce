import { isPromise, type MaybePromise } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";

/** Most bytes of one write: progress is seen, and memory comes back, so often. */
const writeLimit = 1024 * 1024;

interface Piece {
  readonly memory: Uint8Array;
  start: number;
  end: number;
}

/** Something that is done when a reply is sent completely. */
interface Sent {
  readonly region: Region;
  readonly whenSent: (() => void) | undefined;
  /** Where the reply ends, counted from the connection's first byte. */
  readonly endsAt: number;
}

/**
 * Sends the replies of a connection. While one write is under way, replies gather for the next one; replies that lie behind each other
 * in memory become one buffer. What the stream takes at once is sent without a promise, and its memory is free for the next reply at once, while
 * the processor still has it at hand.
 */
export class ReplyWriter {
  readonly #stream: DuplexStream;
  readonly #memory: ReplyMemory;
  readonly #onFailure: (error: unknown) => void;
  readonly #pieces: Piece[] = [];
  readonly #sent: Sent[] = [];
  #writing = false;
  #onTaken: (() => void)[] = [];
  #scheduled = false;
  #failed = false;
  #addedBytes = 0;
  /** Bytes that were handed to the stream. */
  #begunBytes = 0;
  /** Bytes that the stream has taken. */
  #takenBytes = 0;
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
    return this.#addedBytes - this.#begunBytes;
  }

  /** Bytes that the stream hasn't taken yet. */
  get untakenBytes(): number {
    return this.#addedBytes - this.#takenBytes;
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
    this.#addedBytes += end - start;
    this.#sent.push({ region, whenSent, endsAt: this.#addedBytes });
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
    if (!this.#writing) {
      this.#send();
    }
  }

  /** Settled when the write that is under way is done. */
  taken(): Promise<void> {
    return this.#writing
      ? new Promise((resolve) => {
          this.#onTaken.push(resolve);
        })
      : Promise.resolve();
  }

  /** Settled when everything that is there was sent, or never will be. */
  async settled(): Promise<void> {
    this.flush();
    while (this.#writing) {
      await this.taken();
    }
  }

  /** Writes until nothing is left, or one write has to be waited for. */
  #send(): void {
    this.#writing = true;
    while (this.#pieces.length > 0) {
      const batch = this.#failed ? this.#drop() : this.#nextBatch();
      let answer: MaybePromise<void> = undefined;
      try {
        answer = batch.length === 0 ? undefined : this.#stream.write(batch);
      } catch (error) {
        this.#fail(error);
      }
      if (isPromise(answer)) {
        const goOn = (): void => {
          this.#took();
          this.#send();
        };
        void answer.then(goOn, (error: unknown) => {
          this.#fail(error);
          goOn();
        });
        return;
      }
      this.#took();
    }
    this.#writing = false;
    this.#tell();
  }

  /** Takes what the next write sends. */
  #nextBatch(): Uint8Array[] {
    const batch: Uint8Array[] = [];
    let length = 0;
    let whole = 0;
    for (const piece of this.#pieces) {
      const { memory, start, end } = piece;
      const stop = Math.min(end, start + writeLimit - length);
      batch.push(memory.subarray(start, stop));
      length += stop - start;
      piece.start = stop;
      if (stop < end || length === writeLimit) {
        whole += stop === end ? 1 : 0;
        break;
      }
      whole++;
    }
    this.#pieces.splice(0, whole);
    this.#begunBytes += length;
    return batch;
  }

  #drop(): Uint8Array[] {
    this.#pieces.length = 0;
    this.#begunBytes = this.#addedBytes;
    return [];
  }

  /** What was begun is taken, or never will be. */
  #took(): void {
    this.#takenBytes = this.#begunBytes;
    this.#writeCount++;
    let count = 0;
    for (const { region, whenSent, endsAt } of this.#sent) {
      if (endsAt > this.#takenBytes) {
        break;
      }
      count++;
      this.#memory.release(region);
      whenSent?.();
    }
    this.#sent.splice(0, count);
    this.#tell();
  }

  #tell(): void {
    const waiting = this.#onTaken;
    if (waiting.length > 0) {
      this.#onTaken = [];
      for (const resolve of waiting) {
        resolve();
      }
    }
  }

  #fail(error: unknown): void {
    if (!this.#failed) {
      this.#failed = true;
      this.#onFailure(error);
    }
  }
}
