import { createRequire } from "node:module";
import { linuxCalls } from "./linux-calls.ts";
import type { NativeCalls } from "./native-calls.ts";

/** Architectures whose kernels have 64-bit offsets in the plain system calls and the common numbers. */
const architectures = ["x64", "arm64", "riscv64", "loong64"];

let loaded: { readonly calls: NativeCalls | undefined } | undefined;

/**
 * The native helper, loaded when it is first asked for; `undefined` where `koffi` isn't installed, doesn't work, or the system isn't a
 * Linux that it is prepared for.
 */
export function loadNative(): NativeCalls | undefined {
  // the process has one C library, so the declarations of its functions are made once
  loaded ??= { calls: load() };
  return loaded.calls;
}

function load(): NativeCalls | undefined {
  if (process.platform !== "linux" || !architectures.includes(process.arch)) {
    return undefined;
  }
  try {
    return linuxCalls(loadKoffi(createRequire(import.meta.url)));
  } catch {
    // it is optional: not installed, or its binary doesn't fit this system
    return undefined;
  }
}

/**
 * koffi's package for this platform alone has everything that is needed here. What koffi puts around it are warnings about names that it
 * gave up, which take longer to load than a short command runs.
 */
function loadKoffi(require: NodeJS.Require): typeof import("koffi") {
  const entry = require.resolve("koffi");
  try {
    return createRequire(entry)(`@koromix/koffi-${process.platform}-${process.arch}`) as typeof import("koffi");
  } catch {
    // koffi was built where it is installed, or is another version
    return require(entry) as typeof import("koffi");
  }
}
