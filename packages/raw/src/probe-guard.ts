import {
  hex,
  ImgError,
  isImgError,
  Mutex,
  readStorage,
  type FormatRegistry,
  type Io,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";

/** A change of the storage that is about to happen, and may change its first bytes. */
export interface HeadChange {
  /** Where it begins in the storage, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** What is written; `undefined`: zeroes. */
  readonly from?: IoVector;
  /** Bytes that the storage has afterwards, if it has fewer now. */
  readonly size: number;
}

/**
 * Keeps an image raw whose format was only guessed: refuses changes after which its first bytes would be taken for another format's.
 *
 * Otherwise the guest could write a header of its own, with a backing file of its choice, and read that file once the image is opened the
 * next time. Changes of the first bytes are made one at a time, so each is judged with those before it in place.
 */
export class ProbeGuard {
  readonly #storage: Storage;
  readonly #formats: FormatRegistry;
  readonly #name: string;
  readonly #mutex: Mutex;

  /** @param name - the format that the image has to stay */
  constructor(storage: Storage, formats: FormatRegistry, name: string) {
    this.#storage = storage;
    this.#formats = formats;
    this.#name = name;
    this.#mutex = new Mutex(`the head of ${storage.label}`);
  }

  /** Bytes from the start of the storage that are guarded. */
  get length(): number {
    return this.#formats.probeLength;
  }

  /**
   * Judges a change; does nothing if it is none of the first bytes, nor of how many there are.
   * @returns call it when the change is made or has failed; others wait until then
   * @throws ImgError `ERR_IMG_DENIED`
   */
  *begin(change: HeadChange): Io<(() => void) | undefined> {
    const isShort = this.#storage.size < Math.min(change.size, this.length);
    if (change.length === 0 || (change.offset >= this.length && !isShort)) {
      return undefined;
    }
    return yield* this.#hold(() => this.#judge(Math.max(this.#storage.size, change.size), change));
  }

  /** {@link begin} for a change of the storage's length to `size` bytes; new bytes are zero. */
  *beginResize(size: number): Io<(() => void) | undefined> {
    if (Math.min(size, this.#storage.size) >= this.length) {
      return undefined;
    }
    return yield* this.#hold(() => this.#judge(size));
  }

  /** Keeps the first bytes from changing, if `judge` doesn't throw. @returns what lets them change */
  *#hold(judge: () => Io<void>): Io<() => void> {
    yield* this.#mutex.acquire();
    try {
      yield* judge();
    } catch (error) {
      this.#mutex.release();
      throw error;
    }
    return () => {
      this.#mutex.release();
    };
  }

  /** @param size - the storage's after the change */
  *#judge(size: number, change?: HeadChange): Io<void> {
    const head = new Uint8Array(Math.min(this.length, size));
    yield* readStorage(this.#storage, IoVector.single(head), 0);
    if (change !== undefined) {
      apply(change, head);
    }
    const found = this.#probe(head);
    if (found !== this.#name) {
      const where = change === undefined ? "" : ` at ${hex(change.offset)}`;
      throw new ImgError(
        "ERR_IMG_DENIED",
        `${this.#storage.label}: the format was guessed to be ${this.#name}, and this change${where} would make it ${found}: name the format when opening`,
        { subject: this.#storage.label },
      );
    }
  }

  #probe(head: Uint8Array): string {
    try {
      return this.#formats.probeHeader(head).format.name;
    } catch (error) {
      if (isImgError(error, "ERR_IMG_UNKNOWN_FORMAT")) {
        return "ambiguous";
      }
      throw error;
    }
  }
}

/** Makes a change in a copy of the first bytes. */
function apply({ offset, length, from }: HeadChange, head: Uint8Array): void {
  const place = head.subarray(offset, offset + length);
  if (from === undefined) {
    place.fill(0);
  } else {
    from.slice(0, place.length).copyIntoSlice(place);
  }
}
