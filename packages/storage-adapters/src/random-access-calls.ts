import { checkOffset, ImgError } from "@img/format-core";
import { bytesOf } from "./bytes-of.ts";
import { describeRange } from "./describe-range.ts";
import { LegacyBytes } from "./legacy-bytes.ts";

/** How a `random-access-storage` answers: with an error, or with what was asked for. */
export type RandomAccessCallback<T = unknown> = (error?: Error | null, value?: T | null) => void;

/** What is used of a `random-access-storage`, of version 1 or later. What an instance can't do may be missing or marked `false`. */
export interface RandomAccessLike {
  readonly readable?: boolean;
  readonly writable?: boolean;
  readonly deletable?: boolean;
  readonly truncatable?: boolean;
  readonly statable?: boolean;
  read(offset: number, size: number, callback: RandomAccessCallback<Uint8Array>): void;
  write(offset: number, bytes: Uint8Array, callback: RandomAccessCallback): void;
  del?(offset: number, size: number, callback: RandomAccessCallback): void;
  truncate?(offset: number, callback: RandomAccessCallback): void;
  stat(callback: RandomAccessCallback<{ readonly size: number; readonly blocks?: number }>): void;
  close(callback: RandomAccessCallback): void;
}

/** What `stat` said. */
export interface RandomAccessStats {
  /** Bytes. */
  readonly size: number;
  /** Whether it says that no space is taken at all, so that nothing can be left of earlier contents. */
  readonly isVoid: boolean;
}

/** The calls of a `random-access-storage` as promises, with answers that are checked. */
export class RandomAccessCalls {
  readonly #object: RandomAccessLike;
  readonly #label: string;

  /** @param label - the storage's, for errors */
  constructor(object: RandomAccessLike, label: string) {
    this.#object = object;
    this.#label = label;
  }

  /** `length` bytes from `offset` on, all of which there are. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = bytesOf(await call<Uint8Array>((done) => this.#object.read(offset, length, done)));
    if (bytes?.length !== length) {
      const found = bytes === undefined ? "none" : String(bytes.length);
      const asked = describeRange("asked for", offset, length);
      throw new ImgError("EIO", `${this.#label}: ${asked}, found ${found}`, { subject: this.#label });
    }
    return bytes;
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await call((done) => this.#object.write(offset, LegacyBytes.wrap(bytes), done));
  }

  /** Whether there is a way to {@link del}. */
  get canDelete(): boolean {
    return this.#object.del !== undefined && this.#object.deletable !== false;
  }

  /** Gives up a range. It must end before the last byte: some cut the rest off when it doesn't. */
  async del(offset: number, length: number): Promise<void> {
    await call((done) => this.#object.del?.(offset, length, done));
  }

  /** Whether there is a way to {@link truncate}. */
  get canTruncate(): boolean {
    return this.#object.truncate !== undefined && this.#object.truncatable !== false;
  }

  async truncate(size: number): Promise<void> {
    await call((done) => this.#object.truncate?.(size, done));
  }

  /** Whether it can be asked for its length. */
  get canStat(): boolean {
    return this.#object.statable !== false;
  }

  async stat(): Promise<RandomAccessStats> {
    const stats = await call<{ readonly size: number; readonly blocks?: number }>((done) => this.#object.stat(done));
    const size = stats?.size ?? Number.NaN;
    checkOffset(size, "the length");
    return { size, isVoid: stats?.blocks === 0 };
  }

  async close(): Promise<void> {
    await call((done) => this.#object.close(done));
  }
}

function call<T>(start: (done: RandomAccessCallback<T>) => void): Promise<T | null | undefined> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null || error === undefined) {
        resolve(value);
      } else {
        // what it is said with is not ours to choose; whoever catches it wraps it
        reject(error);
      }
    });
  });
}
