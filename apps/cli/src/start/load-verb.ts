import { createRequire } from "node:module";
import { loadCompiled } from "./load-compiled.ts";

/**
 * Loads a verb's file, or the program's, with its code as it was compiled in an earlier run: Node ≥ 22 keeps it for us once it was asked to, an older one doesn't.
 *
 * @param file - beside the program's own
 */
export function loadVerb(file: string): unknown {
  return Number.parseInt(process.versions.node, 10) >= 22
    ? (createRequire(import.meta.url)(file) as unknown)
    : loadCompiled(file);
}
