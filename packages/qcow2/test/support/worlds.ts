import { runAsync, runSync, type Io, type Storage } from "@img/format-core";
import { AsyncStorage } from "@img/testing";

/** One of the two ways to drive an operation. */
export interface World {
  readonly name: string;
  run<T>(io: Io<T>): Promise<T>;
  /** A storage as it is in this world: one that has to be waited for, or one that answers at once. */
  storage(inner: Storage): Storage;
}

/** For `describe.each`: what must hold in both. */
export const bothWorlds: readonly World[] = [
  { name: "asynchronous", run: (io) => runAsync(io), storage: (inner) => new AsyncStorage(inner) },
  { name: "synchronous", run: async (io) => runSync(io), storage: (inner) => inner },
];
