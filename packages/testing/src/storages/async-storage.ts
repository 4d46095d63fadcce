import {
  InterceptingStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
  type SyncStorage,
} from "@img/format-core";

const syncFacet = [
  "readSync",
  "writeSync",
  "writeZeroesSync",
  "discardSync",
  "extentsSync",
  "allocatedSizeSync",
  "resizeSync",
  "flushSync",
  "syncSync",
  "invalidateSync",
  Symbol.dispose,
] as const satisfies readonly (keyof SyncStorage)[];

/**
 * A storage that always has to be waited for: it answers with promises, also where the inner one answers at once, and has no synchronous
 * facet. Shows who forgets to wait.
 */
export class AsyncStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  constructor(inner: S) {
    super(inner);
    for (const name of syncFacet) {
      Object.defineProperty(this, name, { value: undefined });
    }
  }

  protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
    await Promise.resolve();
    return await proceed();
  }
}
