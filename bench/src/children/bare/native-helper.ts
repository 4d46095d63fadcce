import { createRequire } from "node:module";

/** The native helper, by the way that takes least time: what belongs to this platform alone. */
export function nativeHelper(): typeof import("koffi") {
  const entry = createRequire(process.argv[1] ?? "").resolve("koffi");
  return createRequire(entry)(`@koromix/koffi-${process.platform}-${process.arch}`) as typeof import("koffi");
}
