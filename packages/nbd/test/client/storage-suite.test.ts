import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, StorageDecorator, type Storage, type StorageLimits } from "@img/format-core";
import { storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { describe, it } from "vitest";
import {
  NbdServer,
  NbdStorage,
  duplexPair,
  storageExport,
  type NbdServerOptions,
  type NbdStorageOptions,
} from "../../src/index.ts";
import { openNbd } from "../../src/node.ts";
import { startServer, type RealServer } from "../helpers/storage-server.ts";

const manifest: StorageManifest = {
  grows: false,
  zeroes: true,
  discards: true,
  extents: true,
  empty: true,
  resolves: "maybe",
};

/** Our server, in this process. */
function ours(options: NbdStorageOptions, serverOptions: NbdServerOptions = {}): StorageFactory {
  const kept = new WeakMap<Storage, MemoryStorage>();
  const open = async (memory: MemoryStorage, writable: boolean): Promise<Storage> => {
    const server = new NbdServer(new Map([["", storageExport(memory, { writable })]]), serverOptions);
    const connect = () => {
      const [left, right] = duplexPair("ours");
      void server.serve(right);
      return left;
    };
    const storage = await NbdStorage.open(connect, { ...options, writable });
    kept.set(storage, memory);
    return storage;
  };
  return {
    create: (contents) => open(new MemoryStorage(contents), true),
    readOnly: (contents) => open(new MemoryStorage(contents), false),
    reopen: (storage) => open(kept.get(storage) ?? new MemoryStorage(), true),
  };
}

/** A real server for each storage, over a file. @param args - `FILE` is the path of the file */
function real(command: string, args: readonly string[], readOnlyArgs: readonly string[] = ["-r"]): StorageFactory {
  const servers = new Map<Storage, { readonly server: RealServer; readonly directory: string }>();
  const open = async (contents: Uint8Array, writable: boolean): Promise<Storage> => {
    const directory = mkdtempSync(join(tmpdir(), "img-nbd-suite-"));
    writeFileSync(join(directory, "disk"), contents);
    const all = [...(writable ? [] : readOnlyArgs), ...args];
    const server = await startServer(command, all, directory);
    const storage = await openNbd(server.uri(), { writable });
    servers.set(storage, { server, directory });
    return storage;
  };
  return {
    create: (contents) => open(contents, true),
    readOnly: (contents) => open(contents, false),
    reopen: async (storage) => {
      const known = servers.get(storage);
      if (known === undefined) {
        throw new Error("never opened");
      }
      const again = await openNbd(known.server.uri(), { writable: true });
      return again;
    },
    destroy: async (storage) => {
      const known = servers.get(storage);
      await known?.server[Symbol.asyncDispose]();
      if (known !== undefined) {
        rmSync(known.directory, { recursive: true, force: true });
      }
    },
  };
}

/** QEMU's exports are as long as a number of sectors; only such lengths come from a storage with blocks of that size. */
class InSectors extends StorageDecorator {
  override get limits(): StorageLimits {
    return { request: 512, memory: 1, zero: 512, discard: 512 };
  }
}

function inSectors(factory: StorageFactory): StorageFactory {
  const inner = (storage: Storage): Storage => (storage instanceof InSectors ? storage.inner : storage);
  return {
    create: async (contents) => new InSectors(await factory.create(contents)),
    readOnly: async (contents) => new InSectors(await (factory.readOnly ?? factory.create)(contents)),
    reopen: async (storage) => new InSectors((await factory.reopen?.(inner(storage))) ?? storage),
    destroy: (storage) => factory.destroy?.(inner(storage)),
  };
}

const suites: Readonly<Record<string, readonly [StorageFactory, StorageManifest]>> = {
  "our server, extended headers, several connections": [ours({}), { ...manifest, programs: 4 }],
  "our server, structured replies, one connection": [
    ours({ connections: 1, replies: "structured" }),
    { ...manifest, programs: 2 },
  ],
  "our server, simple replies": [ours({}, { replies: "simple" }), { ...manifest, extents: false, programs: 2 }],
  "qemu-nbd": [
    inSectors(real("qemu-nbd", ["-f", "raw", "-t", "-e", "8", "-k", "SOCKET", "DIR/disk"])),
    { ...manifest, programs: 1 },
  ],
  "nbdkit, blocks of 4 KiB": [
    real("nbdkit", [
      "-f",
      "-U",
      "SOCKET",
      "--filter=blocksize-policy",
      "--filter=truncate",
      "file",
      "DIR/disk",
      "round-up=4096",
      "blocksize-minimum=4096",
      "blocksize-preferred=4096",
      "blocksize-maximum=65536",
      "blocksize-error-policy=error",
    ]),
    { ...manifest, programs: 1 },
  ],
};

describe.each(Object.entries(suites))("%s", (_, [factory, abilities]) => {
  for (const { name, run } of storageSuite(factory, abilities)) {
    it.concurrent(name, run);
  }
});
