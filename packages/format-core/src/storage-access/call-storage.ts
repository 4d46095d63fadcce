import { perform, type Io, type MaybePromise, type Step } from "../io/io.ts";
import { isSyncStorage, type SyncStorage } from "../storage/sync-storage.ts";
import type { Storage } from "../storage/storage.ts";
import { wrapHostError } from "../errors/wrap-host-error.ts";

/**
 * Calls a storage in whichever world the operation runs in. Errors of the host are wrapped with what was being done.
 * @param doing - what is being done, for the error; only called when there is one
 */
export function* callStorage<T>(
  storage: Storage,
  doing: () => string,
  call: (storage: Storage) => MaybePromise<T>,
  callSync: (storage: SyncStorage) => T,
): Io<T> {
  try {
    const step: Step<T> = isSyncStorage(storage)
      ? { label: storage.label, async: () => call(storage), sync: () => callSync(storage) }
      : { label: storage.label, async: () => call(storage) };
    return yield* perform(step);
  } catch (error) {
    throw wrapHostError(error, `${storage.label}: ${doing()}`, storage.label);
  }
}
