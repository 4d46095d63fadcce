import type { Io } from "../io/io.ts";
import type { Storage } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";

/** Closes a storage. */
export function closeStorage(storage: Storage): Io<void> {
  return callStorage(
    storage,
    () => "cannot close",
    async (asynchronous) => {
      await asynchronous[Symbol.asyncDispose]();
    },
    (synchronous) => {
      synchronous[Symbol.dispose]();
    },
  );
}

/** Closes a storage because something else failed: that failure is what the caller hears of, not one of closing. */
export function* closeAfterFailure(storage: Storage): Io<void> {
  try {
    yield* closeStorage(storage);
  } catch {
    // the first failure is being reported
  }
}
