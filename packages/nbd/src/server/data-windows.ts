import { isPromise, type MaybePromise } from "@img/format-core";
import { allocationFlags } from "../protocol/transmission-numbers.ts";
import type { NbdMetaContext } from "./nbd-export.ts";

const shortestWindow = 16 * 1024 * 1024;
const windowLimit = 64 * 1024;

/**
 * Remembers which parts of an export hold nothing but data, so that not every read has to ask where the holes are: some file systems look through
 * the whole file to tell. What is remembered may be out of date one way only: holes that came later are sent as zeroes.
 */
export class DataWindows {
  readonly #size: number;
  readonly #context: NbdMetaContext;
  readonly #windowLength: number;
  /** 0: nobody has asked; 1: data; 2: not only data. */
  readonly #windows: Uint8Array;

  constructor(size: number, context: NbdMetaContext) {
    this.#size = size;
    this.#context = context;
    this.#windowLength = Math.max(shortestWindow, 2 ** Math.ceil(Math.log2(size / windowLimit)));
    this.#windows = new Uint8Array(Math.ceil(size / this.#windowLength));
  }

  /** Whether a range is known to hold data only. Asks the context once for each window. */
  isData(offset: number, length: number): MaybePromise<boolean> {
    const last = Math.floor((offset + length - 1) / this.#windowLength);
    for (let index = Math.floor(offset / this.#windowLength); index <= last; index++) {
      if (this.#windows[index] === 0) {
        const asked = this.#ask(index);
        if (isPromise(asked)) {
          return asked.then(() => this.isData(offset, length));
        }
      }
      if (this.#windows[index] !== 1) {
        return false;
      }
    }
    return true;
  }

  /** A range may have got holes. */
  forget(offset: number, length: number): void {
    const first = Math.floor(offset / this.#windowLength);
    this.#windows.fill(0, first, Math.ceil((offset + length) / this.#windowLength));
  }

  #ask(index: number): MaybePromise<void> {
    const offset = index * this.#windowLength;
    const length = Math.min(this.#windowLength, this.#size - offset);
    const answer = this.#context.status(offset, length, true);
    const note = (extents: Awaited<typeof answer>): void => {
      const [first] = extents;
      const data = first !== undefined && (first.flags & allocationFlags.zero) === 0 && first.length >= length;
      this.#windows[index] = data ? 1 : 2;
    };
    if (isPromise(answer)) {
      return answer.then(note);
    }
    note(answer);
    return undefined;
  }
}
