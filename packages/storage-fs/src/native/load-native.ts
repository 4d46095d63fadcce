import { linuxCalls } from "./linux-calls.ts";
import { loadKoffi } from "./load-koffi.ts";
import type { NativeCalls } from "./native-calls.ts";

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
  const koffi = loadKoffi();
  try {
    return koffi === undefined ? undefined : linuxCalls(koffi);
  } catch {
    return undefined;
  }
}
