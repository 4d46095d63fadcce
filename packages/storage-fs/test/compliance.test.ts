import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Storage } from "@img/format-core";
import { storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { describe, it } from "vitest";
import { FileStorage, type FileOpenOptions } from "../src/index.ts";
import { scratch, variants } from "./support/places.ts";

/** Files in `directory`, opened with these options. */
function files(directory: string, options: FileOpenOptions): StorageFactory {
  let count = 0;
  const open = (contents: Uint8Array, writable: boolean): Promise<Storage> => {
    const path = join(directory, String(count++));
    writeFileSync(path, contents);
    return FileStorage.open(path, { ...options, writable });
  };
  return {
    create: (contents) => open(contents, true),
    readOnly: (contents) => open(contents, false),
    reopen: (storage) => FileStorage.open(storage.location ?? "", options),
    destroy: (storage) => {
      rmSync(storage.location ?? "");
    },
  };
}

const manifest: StorageManifest = {
  sync: true,
  resizes: true,
  discards: true,
  allocatedSize: true,
  invalidates: true,
  resolves: true,
  // beyond it, file systems with smaller limits refuse
  maxOffset: 2 ** 43,
  programs: 2,
};

/** Without the helper, a file system in memory is always at once, and any other one never is. */
const different = variants.filter(
  ({ native, blocking, place }) => native === "auto" || blocking === (place === "/dev/shm" ? "cached" : "never"),
);

describe.each(different)("$name", ({ place, native, blocking }) => {
  const directory = scratch(place);
  const abilities: StorageManifest =
    native === "auto"
      ? { zeroes: true, copies: true, extents: true, holes: 65_536 }
      : { zeroes: "maybe", copies: "maybe", extents: "maybe" };
  for (const { name, run } of storageSuite(files(directory, { native, blocking }), { ...manifest, ...abilities })) {
    it(name, run);
  }
});

const directory = scratch();

/** Whether files of this directory can be opened for direct I/O. */
function hasDirect(): boolean {
  writeFileSync(join(directory, "probe"), "");
  try {
    FileStorage.openSync(join(directory, "probe"), { direct: true }).closeSync();
    return true;
  } catch {
    return false;
  }
}

describe.runIf(hasDirect()).each(["auto", "off"] as const)("direct I/O, native %s", (native) => {
  const abilities: StorageManifest = { zeroes: "maybe", copies: "maybe", extents: "maybe" };
  for (const { name, run } of storageSuite(files(directory, { native, direct: true }), { ...manifest, ...abilities })) {
    it(name, run);
  }
});
