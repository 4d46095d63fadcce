import type { Koffi } from "./load-koffi.ts";

/**
 * System calls for the extended attributes of files, which Node has not (xattr(7)). They take paths, don't follow a symbolic link at their end, and answer
 * as the kernel does: what the call returns, or the negated errno. None of them throws.
 */
export interface AttributeCalls {
  /**
   * Fills `into` with the names, each ended by a zero byte.
   * @returns bytes of all names; ERANGE: more than fit
   */
  list(path: string, into: Uint8Array): number;
  /**
   * Fills `into` with the value of one.
   * @returns bytes of the value; ENODATA: there is none of this name
   */
  get(path: string, name: string, into: Uint8Array): number;
  /** Makes one, or changes it. */
  set(path: string, name: string, value: Uint8Array): number;
  /** Takes one away. ENODATA: there is none of this name. */
  remove(path: string, name: string): number;
}

/** The calls in the C library that the process runs on. Throws where it lacks them. */
export function attributeCalls(koffi: Koffi): AttributeCalls {
  const library = koffi.load(null);
  const list = library.func("int64_t llistxattr(const char *path, void *names, size_t length)");
  const get = library.func("int64_t lgetxattr(const char *path, const char *name, void *value, size_t length)");
  const set = library.func(
    "int lsetxattr(const char *path, const char *name, const void *value, size_t length, int flags)",
  );
  const remove = library.func("int lremovexattr(const char *path, const char *name)");
  const answer = (result: unknown): number => {
    const value = Number(result);
    return value < 0 ? -koffi.errno() : value;
  };
  return {
    list: (path, into) => answer(list(path, into, into.byteLength)),
    get: (path, name, into) => answer(get(path, name, into, into.byteLength)),
    set: (path, name, value) => answer(set(path, name, value, value.byteLength, 0)),
    remove: (path, name) => answer(remove(path, name)),
  };
}
