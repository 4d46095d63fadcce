import { runAsync, type Storage } from "@img/format-core";
import { storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { afterAll, beforeAll, describe, it } from "vitest";
import { BridgeOpener } from "../src/index.ts";
import type { FixtureOptions } from "./fixtures/storages.ts";
import { buildWorker, type BuiltWorker } from "./support/built-worker.ts";

let built: BuiltWorker;
beforeAll(async () => {
  built = await buildWorker();
});
afterAll(() => {
  built.remove();
});

const manifest: StorageManifest = {
  sync: true,
  resizes: true,
  zeroes: true,
  discards: true,
  extents: true,
  allocatedSize: true,
  invalidates: true,
  resolves: true,
  programs: 2,
};

const variants: Readonly<Record<string, FixtureOptions>> = {
  "that answers with promises": {},
  "that answers late and out of order, with 512-byte blocks": { delayed: true, limit: 512 },
  "that wants its memory aligned": { limit: 512, memoryLimit: 4096 },
};

describe.each(Object.entries(variants))("a bridge to a storage %s", (_, options) => {
  let opener: BridgeOpener;
  beforeAll(() => {
    const { workerEntry } = built;
    opener = new BridgeOpener(built.fixture("storages"), {
      workerEntry,
      bufferSize: 65536,
      export: "openEncoded",
      options: { ...options },
    });
  });
  afterAll(async () => {
    await opener[Symbol.asyncDispose]();
  });
  const open = (contents: Uint8Array, writable: boolean): Promise<Storage> =>
    runAsync(opener.open(Buffer.from(contents).toString("base64"), { writable }));
  const factory: StorageFactory = {
    create: (contents) => open(contents, true),
    readOnly: (contents) => open(contents, false),
  };
  for (const { name, run } of storageSuite(factory, manifest)) {
    it(name, run);
  }
});
