import { runAsync, runSync, type Io } from "../../src/index.ts";

/** Drives an operation in one of the two worlds. */
export interface World {
  readonly name: string;
  run<T>(io: Io<T>, signal?: AbortSignal): Promise<T>;
}

/** For `describe.each`: what must hold in both. */
export const bothWorlds: readonly World[] = [
  { name: "asynchronous", run: (io, signal) => runAsync(io, signal) },
  { name: "synchronous", run: async (io, signal) => runSync(io, signal) },
];
