import { RangeLocks } from "../io/range-locks.ts";
import { StorageDecorator } from "../storage/storage-decorator.ts";
import type { Storage, StorageLimits } from "../storage/storage.ts";
import { BounceBuffers } from "./bounce-buffers.ts";

/** What the access functions remember of a storage: who writes where, and buffers to reuse. */
export class StorageState {
  readonly locks: RangeLocks;
  readonly buffers: BounceBuffers;

  constructor(locks: RangeLocks, limits: StorageLimits) {
    this.locks = locks;
    this.buffers = new BounceBuffers(limits);
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
    const locks = inner === undefined ? new RangeLocks() : storageState(inner).locks;
    state = new StorageState(locks, storage.limits);
    states.set(storage, state);
  }
  return state;
}
