import type { ModuleLocation } from "./worker-thread.ts";

/**
 * What `import()` is to be called with in the worker.
 * @throws TypeError for `./…` and `../…`: the worker doesn't know relative to what
 */
export function moduleSpecifier(location: ModuleLocation): string {
  const specifier = typeof location === "string" ? location : location.href;
  if (/^\.\.?\//.test(specifier)) {
    const hint = `new URL(${JSON.stringify(specifier)}, import.meta.url)`;
    throw new TypeError(`specifier ${JSON.stringify(specifier)}: expected a URL, for example ${hint}`);
  }
  return specifier;
}
