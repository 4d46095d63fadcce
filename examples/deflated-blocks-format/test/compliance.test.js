import { formatSuite } from "@img/testing";
import { suite, test } from "node:test";
import { deflatedBlocks, packDisk } from "deflated-blocks-format";

suite("zblocks", () => {
  const factory = {
    format: deflatedBlocks,
    /** @param {Uint8Array} disk */
    image: (disk) => packDisk(disk, { blockSize: 4096 }),
  };
  for (const { name, run } of formatSuite(factory, { writable: false, sync: false, blockSize: 4096 })) {
    test(name, run);
  }
});
