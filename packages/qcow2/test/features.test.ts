import { describe, expect, it } from "vitest";
import { autoclear, compatible, featureNumbers, hasFeature, incompatible } from "../src/index.ts";

describe("feature bits", () => {
  it("have the numbers of the specification", () => {
    expect(incompatible).toEqual({ dirty: 0, corrupt: 1, dataFile: 2, compressionType: 3, extendedL2: 4 });
    expect(compatible).toEqual({ lazyRefcounts: 0 });
    expect(autoclear).toEqual({ bitmaps: 0, rawDataFile: 1 });
  });

  it.each(Array.from({ length: 64 }, (_, bit) => bit))("are told apart: %d", (bit) => {
    const value = 1n << BigInt(bit);
    const bits = { high: Number(value >> 32n), low: Number(value & 0xffff_ffffn) };
    expect(featureNumbers(bits)).toEqual([bit]);
    for (let other = 0; other < 64; other++) {
      expect(hasFeature(bits, other)).toBe(other === bit);
    }
  });

  it("are listed in ascending order", () => {
    expect(featureNumbers({ high: 0x8000_0001, low: 0x8000_0003 })).toEqual([0, 1, 31, 32, 63]);
    expect(featureNumbers({ high: 0, low: 0 })).toEqual([]);
  });
});
