import { describe, expect, it } from "vitest";
import { firstDifference as portable } from "../src/compare/first-difference-portable.ts";
import { firstDifference as node } from "../src/node-first-difference.ts";

describe.each([
  ["portable", portable],
  ["native", node],
] as const)("%s firstDifference", (_name, firstDifference) => {
  it.each([0, 1, 3, 4, 7, 16383, 16384, 40000, 99999])("finds byte %i", (at) => {
    const a = new Uint8Array(100_000).fill(7);
    const b = a.slice();
    b[at] = 8;
    b[99_999] = 9;
    expect(firstDifference(a, b, a.length)).toBe(at);
    expect(firstDifference(a, b, at)).toBe(at);
  });

  it("finds equal buffers equal, up to the length that is asked for", () => {
    const a = new Uint8Array(1001).fill(7);
    expect(firstDifference(a, a.slice(), 1001)).toBe(1001);
    expect(firstDifference(a, new Uint8Array(2000).fill(7), 1001)).toBe(1001);
    expect(firstDifference(a, a, 0)).toBe(0);
  });

  it("works on views that aren't aligned", () => {
    const a = new Uint8Array(5000).fill(1).subarray(1, 4000);
    const b = new Uint8Array(5000).fill(1).subarray(3, 4002);
    expect(firstDifference(a, b, 3999)).toBe(3999);
    b[3998] = 0;
    expect(firstDifference(a, b, 3999)).toBe(3998);
  });
});
