import { loadKoffi } from "../native/load-koffi.ts";

/** What a library's function takes: memory of ours is handed over as it is, its own as an address. */
type Argument = number | bigint | Uint8Array | null;

/** What it gives; an address that is 0 is `null`. */
type Result = number | bigint | null;

/** A function of a library. */
export interface LibraryFunction {
  (...values: Argument[]): Result;
  /** On a thread of libuv's pool. Memory that is handed over must be kept alive and left alone meanwhile. */
  async(...values: [...Argument[], (error: unknown, result: Result) => void]): void;
}

/**
 * Opens a library of the system by the name under which the loader knows it.
 *
 * @param declare - gets what makes a function of its declaration in C, and throws for one that the library doesn't have
 * @returns what `declare` gives; `undefined` where the native helper isn't, or the library isn't, or it lacks a function
 */
export function withSystemLibrary<T>(
  name: string,
  declare: (find: (declaration: string) => LibraryFunction) => T,
): T | undefined {
  try {
    const library = loadKoffi()?.load(name);
    return library === undefined ? undefined : declare((text) => library.func(text) as LibraryFunction);
  } catch {
    return undefined;
  }
}
