import { storageSuite } from "@img/testing";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { HttpRangeStorage } from "http-range-storage";
import { startNginx } from "./nginx.js";

suite("HttpRangeStorage on nginx", () => {
  /** @type {Awaited<ReturnType<typeof startNginx>>} */
  let server;
  let files = 0;
  before(async () => {
    server = await startNginx();
  });
  after(() => server.stop());

  const factory = {
    /** @param {Uint8Array} contents */
    create: (contents) => {
      const name = `disk-${files++}`;
      writeFileSync(join(server.root, name), contents);
      // small, so that there are many requests, and blocks are dropped
      return HttpRangeStorage.open(server.url + name, { blockSize: 4096, requestSize: 16384, cacheSize: 65536 });
    },
  };
  for (const { name, run } of storageSuite(factory, { writable: false, invalidates: true, resolves: true })) {
    test(name, run);
  }
});
