import { ImgError } from "@img/format-core";
import { bytesOf } from "./bytes-of.ts";

/** What is used of a web `ReadableStream`: the body of a `Response`, for example. */
export interface ReadableStreamLike {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/**
 * Bytes that come one piece after the other, and only once: a web `ReadableStream`, a `Readable` of Node's, a generator. Pieces are of any length, and views of
 * bytes or `ArrayBuffer`s. They are only looked at until the next one is asked for, so they may share memory.
 */
export type ForwardSource = ReadableStreamLike | AsyncIterable<unknown>;

/** Takes one piece after the other from a {@link ForwardSource}. */
export class ForwardPieces {
  readonly #label: string;
  readonly #next: () => PromiseLike<{ readonly done?: boolean | undefined; readonly value?: unknown }>;
  readonly #cancel: () => PromiseLike<unknown> | undefined;
  #isAsked = false;

  /** @param label - names the source in errors */
  constructor(source: ForwardSource, label: string) {
    this.#label = label;
    if ("getReader" in source) {
      const reader = source.getReader();
      this.#next = () => reader.read();
      this.#cancel = () => reader.cancel();
      return;
    }
    const iterator = source[Symbol.asyncIterator]();
    this.#next = () => iterator.next();
    this.#cancel = () => {
      destroy(source);
      const returned = iterator.return?.();
      // a generator that is being waited for hears of it when it goes on, which may be never
      return this.#isAsked ? void returned?.then(undefined, () => undefined) : returned;
    };
  }

  /**
   * The next piece, which may be empty; `undefined`: that was all.
   * @throws ImgError `EIO` when it isn't bytes; whatever the source fails with
   */
  async next(): Promise<Uint8Array | undefined> {
    this.#isAsked = true;
    const { done, value } = await this.#next();
    this.#isAsked = false;
    if (done === true) {
      return undefined;
    }
    const bytes = bytesOf(value);
    if (bytes === undefined) {
      throw new ImgError("EIO", `${this.#label}: expected bytes, found a value of type ${typeof value}`, {
        subject: this.#label,
      });
    }
    return bytes;
  }

  /** Tells the source that nothing more is wanted, also while a piece is waited for. */
  async cancel(): Promise<void> {
    await this.#cancel();
  }
}

/** Streams of Node's give up waiting when they are destroyed; their iterators alone don't. */
function destroy(source: AsyncIterable<unknown> & { destroy?: () => unknown }): void {
  source.destroy?.();
}
