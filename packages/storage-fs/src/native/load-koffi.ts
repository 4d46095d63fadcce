import { createRequire } from "node:module";
import { loadPrebuilt } from "./load-prebuilt.ts";

/** `koffi`, as far as its types go. */
export type Koffi = typeof import("koffi");

/** Architectures whose kernels have 64-bit offsets in the plain system calls and the common numbers. */
const architectures = ["x64", "arm64", "riscv64", "loong64"];

let loaded: { readonly koffi: Koffi | undefined } | undefined;

/**
 * `koffi`, loaded when it is first asked for; `undefined` where it isn't installed, doesn't work, or the system isn't a Linux that this package is prepared
 * for.
 */
export function loadKoffi(): Koffi | undefined {
  loaded ??= { koffi: load() };
  return loaded.koffi;
}

function load(): Koffi | undefined {
  if (process.platform !== "linux" || !architectures.includes(process.arch)) {
    return undefined;
  }
  try {
    return (loadPrebuilt(import.meta.dirname) as Koffi | undefined) ?? requireKoffi(createRequire(import.meta.url));
  } catch {
    // it is optional: not installed, or its binary doesn't fit this system
    return undefined;
  }
}

/**
 * koffi's package for this platform alone has everything that is needed here. What koffi puts around it are warnings about names that it
 * gave up, which take longer to load than a short command runs.
 */
function requireKoffi(require: NodeJS.Require): Koffi {
  const entry = require.resolve("koffi");
  try {
    return createRequire(entry)(`@koromix/koffi-${process.platform}-${process.arch}`) as Koffi;
  } catch {
    // koffi was built where it is installed, or is another version
    return require(entry) as Koffi;
  }
}
