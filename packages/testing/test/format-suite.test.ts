import { describe, expect, it } from "vitest";
import { formatSuite, type FormatManifest } from "../src/index.ts";
import { blocksFormat } from "./blocks-format/blocks-format.ts";

const blocks: FormatManifest = { grows: true, shrinks: true, preallocations: ["none", "zero"] };

describe("the format suite", () => {
  it("has no two cases of the same name", () => {
    const names = formatSuite({ format: blocksFormat(4096) }, { ...blocks, blockSize: 4096 }).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  for (const blockSize of [512, 4096, 65536]) {
    describe(`lets a sound format with blocks of ${String(blockSize)} bytes pass`, () => {
      for (const { name, run } of formatSuite(
        { format: blocksFormat(blockSize) },
        { ...blocks, blockSize, diskSize: Math.max(32768, 7 * blockSize + 4096) },
      )) {
        it(name, run);
      }
    });
  }
});
