import { realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** What koffi's packages for these architectures call the directory of the binary for glibc, and where musl's loader would be. */
const places: Readonly<Partial<Record<string, { readonly binary: string; readonly musl: string }>>> = {
  x64: { binary: "linux_x64", musl: "/lib/ld-musl-x86_64.so.1" },
  arm64: { binary: "linux_arm64", musl: "/lib/ld-musl-aarch64.so.1" },
};

/**
 * The exports of koffi's binary for Linux with glibc, where package managers put it: in a package beside koffi, which is in `node_modules` of a
 * directory or of one around it. Asking Node for it, and koffi's package which libc this is, takes as long as a short command runs.
 *
 * @param directory - of the file that asks
 * @returns `undefined` when it isn't there or can't be loaded, or another one may be right: then it is to be loaded as everything else
 */
export function loadPrebuilt(directory: string): unknown {
  const place = places[process.arch];
  if (place === undefined || exists(place.musl)) {
    return undefined;
  }
  const koffi = findPackage(directory, "koffi");
  if (koffi === undefined) {
    return undefined;
  }
  const path = join(dirname(koffi), "@koromix", `koffi-linux-${process.arch}`, place.binary, "koffi.node");
  if (!exists(path)) {
    return undefined;
  }
  const module: { exports: unknown } = { exports: {} };
  try {
    process.dlopen(module, path);
  } catch {
    return undefined;
  }
  return module.exports;
}

/** Where a package really is that a file in `directory` would get. */
function findPackage(directory: string, name: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, "node_modules", name);
    if (exists(path)) {
      return realpathSync.native(path);
    }
    if (dirname(at) === at) {
      return undefined;
    }
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
