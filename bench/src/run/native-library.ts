import { createRequire } from "node:module";

/** Whether the native helper is there, and the system has this library, by the name under which the loader knows it; `null`: the C library. */
export function hasLibrary(name: string | null): boolean {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    koffi.load(name);
    return true;
  } catch {
    return false;
  }
}
