import { formatSuite } from "@img/testing";
import { suite, test } from "node:test";
import { blockMap } from "block-map-format";

suite("blockmap", () => {
  /** @type {import("@img/testing").FormatFactory} */
  const factory = {
    format: blockMap,
    create: ([storage], options) => blockMap.createIo(first(storage), { ...options, blockSize: 4096 }),
  };
  for (const { name, run } of formatSuite(factory, { blockSize: 4096, preallocations: ["none", "zero"] })) {
    test(name, run);
  }
});

/**
 * @template T
 * @param {T | undefined} value
 */
function first(value) {
  if (value === undefined) {
    throw new Error("no storage");
  }
  return value;
}
