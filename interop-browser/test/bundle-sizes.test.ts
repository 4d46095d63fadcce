import { beforeAll, describe, expect, it } from "vitest";
import { bundleSize, type BundleSize } from "../src/host/bundle-size.ts";
import type { BundleEntry } from "../src/host/bundle.ts";
import { documentedTable, loadBudget, sizeTable, storeBudget, type SizeBudget } from "../src/host/size-budget.ts";

/** What is measured: what somebody writes who uses it. */
const programs: Readonly<Record<string, BundleEntry>> = {
  "`@img/qcow2`: open, read, write, create, check": { program: 'export { qcow2 } from "@img/qcow2";' },
  "libzstd, which is contained in it": { file: "../packages/qcow2/src/codecs/zstd-wasm-binary.ts" },
  "`@img/qcow2` and `@img/sync`": {
    program: 'export { qcow2 } from "@img/qcow2"; export { createSync, openSync } from "@img/sync";',
  },
  "`@img/qcow2` and `blobStorage` of `@img/storage-adapters`": {
    program: 'export { qcow2 } from "@img/qcow2"; export { blobStorage } from "@img/storage-adapters";',
  },
  "`@img/raw`": { program: 'export { raw } from "@img/raw";' },
  "`@img/format-core`": { program: 'export * from "@img/format-core";' },
  "`@img/io-vector`": { program: 'export * from "@img/io-vector";' },
  "`info` and `map` of `@img/operations`": { program: 'export { info, map } from "@img/operations";' },
  "`convert` of `@img/operations`, and both formats": {
    program:
      'export { convert } from "@img/operations"; export { qcow2 } from "@img/qcow2"; export { raw } from "@img/raw";',
  },
};

/** By how much a bundle may have grown before somebody has to say that it should. */
const tolerance = 1.03;

let sizes: SizeBudget;

beforeAll(async () => {
  const measured = Object.entries(programs).map(async ([name, entry]): Promise<[string, BundleSize]> => [
    name,
    await bundleSize(entry),
  ]);
  sizes = Object.fromEntries(await Promise.all(measured));
  if (process.env["IMG_UPDATE_SIZES"] === "1") storeBudget(sizes);
});

describe("sizes of bundles for browsers", () => {
  it.each(Object.keys(programs))("%s: isn't larger than recorded", (name) => {
    const budget = loadBudget()[name];
    const size = sizes[name]!;
    const hint = `${name}: ${JSON.stringify(size)}, recorded ${JSON.stringify(budget)}; npm run sizes:update records it`;
    expect(size.minified, hint).toBeLessThanOrEqual((budget?.minified ?? 0) * tolerance);
    expect(size.gzipped, hint).toBeLessThanOrEqual((budget?.gzipped ?? 0) * tolerance);
  });

  it("are recorded for nothing else", () => {
    expect(Object.keys(loadBudget())).toEqual(Object.keys(programs));
  });

  it("stand in the README of @img/qcow2", () => {
    expect(documentedTable()).toBe(sizeTable(loadBudget()));
  });
});
