import { IoVector } from "@img/io-vector";
import {
  drive,
  readStorage,
  runSync,
  StorageDecorator,
  type Io,
  type MaybePromise,
  type Storage,
  type StorageLimits,
} from "@img/format-core";

const pageLength = 4096;

/** What would change the storage under it. */
const hidden = [
  "writeZeroes",
  "discard",
  "resize",
  "writeZeroesSync",
  "discardSync",
  "resizeSync",
  "extents",
  "extentsSync",
];

/** Shows a storage as it would be after writes that it keeps to itself. */
export class PlanningStorage extends StorageDecorator {
  readonly #pages = new Map<number, Uint8Array>();
  #size: number;

  constructor(inner: Storage) {
    super(inner);
    this.#size = inner.size;
    for (const name of hidden) {
      Object.defineProperty(this, name, { value: undefined });
    }
  }

  override get size(): number {
    return this.#size;
  }

  override get writable(): boolean {
    return true;
  }

  override get limits(): StorageLimits {
    return { request: 1, memory: 1, zero: 1, discard: 1 };
  }

  override read(into: IoVector, offset: number): MaybePromise<void> {
    return drive(this.#read(into, offset));
  }

  override readSync?(into: IoVector, offset: number): void {
    runSync(this.#read(into, offset));
  }

  override write(from: IoVector, offset: number): MaybePromise<void> {
    return drive(this.#write(from, offset));
  }

  override writeSync?(from: IoVector, offset: number): void {
    runSync(this.#write(from, offset));
  }

  override flush(): void {
    // nothing is on its way anywhere
  }

  override flushSync?(): void {
    // nothing is on its way anywhere
  }

  override sync(): void {
    // nothing is on its way anywhere
  }

  override syncSync?(): void {
    // nothing is on its way anywhere
  }

  *#read(into: IoVector, offset: number): Io<void> {
    yield* readStorage(this.inner, into, offset);
    if (this.#pages.size === 0) {
      return;
    }
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const within = at % pageLength;
      const part = Math.min(pageLength - within, into.length - done);
      const page = this.#pages.get(Math.floor(at / pageLength));
      if (page !== undefined) {
        into.slice(done, done + part).copyFromSlice(page.subarray(within, within + part));
      }
      done += part;
    }
  }

  *#write(from: IoVector, offset: number): Io<void> {
    for (let done = 0; done < from.length;) {
      const at = offset + done;
      const within = at % pageLength;
      const part = Math.min(pageLength - within, from.length - done);
      const page = yield* this.#page(Math.floor(at / pageLength));
      from.slice(done, done + part).copyIntoSlice(page.subarray(within, within + part));
      done += part;
    }
    this.#size = Math.max(this.#size, offset + from.length);
  }

  *#page(index: number): Io<Uint8Array> {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(pageLength);
      yield* readStorage(this.inner, IoVector.from(page), index * pageLength);
      this.#pages.set(index, page);
    }
    return page;
  }
}
