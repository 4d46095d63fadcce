import { RangeLocks } from "../io/range-locks.ts";
import { StorageDecorator } from "../storage/storage-decorator.ts";
import type { Storage } from "../storage/storage.ts";
import { AlignedBuffer } from "./aligned-buffer.ts";

/** Most bytes that one bounced request moves; longer ones go in several. */
export const bounceLength: number = 1024 * 1024;

const buffersKept = 4;

/** What the access functions remember of a storage: who writes where, and buffers to reuse. */
export class StorageState {
  readonly locks: RangeLocks;
  readonly #free: Uint8Array[] = [];

  constructor(locks: RangeLocks) {
    this.locks = locks;
  }

  /** A buffer of {@link bounceLength} bytes plus room to align both ends. */
  takeBuffer(storage: Storage): Uint8Array {
    const { request, memory } = storage.limits;
    const length = bounceLength + 2 * Math.max(request, memory);
    return this.#free.pop() ?? (memory > 8 ? AlignedBuffer.allocate(length) : new Uint8Array(length));
  }

  giveBack(buffer: Uint8Array): void {
    if (this.#free.length < buffersKept) {
      this.#free.push(buffer);
    }
  }
}

// Two images may use one storage object, and their writes must see each other's locks, so the locks belong to the storage. It is a
// foreign object that may be frozen; hence a weak map instead of a property.
const states = new WeakMap<Storage, StorageState>();

/** The state of `storage`, made on first use. */
export function storageState(storage: Storage): StorageState {
  let state = states.get(storage);
  if (state === undefined) {
    // a decorator and what it decorates are one object to writers
    const inner: Storage | undefined =
      storage instanceof StorageDecorator ? (storage as StorageDecorator).inner : undefined;
    state = new StorageState(inner === undefined ? new RangeLocks() : storageState(inner).locks);
    states.set(storage, state);
  }
  return state;
}
