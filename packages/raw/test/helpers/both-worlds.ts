import { runAsync, runSync, type Io } from "@img/format-core";

/** Drives an operation in one of the two worlds. */
export interface World {
  readonly name: string;
  run<T>(io: Io<T>): Promise<T>;
}

/** For `describe.each`: what must hold in both. */
export const bothWorlds: readonly World[] = [
  { name: "asynchronous", run: (io) => runAsync(io) },
  { name: "synchronous", run: async (io) => runSync(io) },
];
