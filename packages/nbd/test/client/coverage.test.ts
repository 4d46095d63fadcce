import fc from "fast-check";
import { expect, test } from "vitest";
import { Coverage } from "../../src/client/coverage.ts";

const length = 40;

test("what has come is known exactly, in whatever order it comes", () => {
  const piece = fc.tuple(fc.nat(length - 1), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const coverage = new Coverage();
      const model = new Set<number>();
      for (const [offset, wanted] of pieces) {
        const bytes = Array.from({ length: Math.min(wanted, length - offset) }, (_, index) => offset + index);
        if (bytes.some((byte) => model.has(byte))) {
          expect(() => {
            coverage.add(offset, bytes.length);
          }).toThrow(expect.objectContaining({ code: "EPROTO" }));
          return;
        }
        coverage.add(offset, bytes.length);
        for (const byte of bytes) {
          model.add(byte);
        }
        expect(coverage.isWhole(0, length)).toBe(model.size === length);
      }
    }),
    { numRuns: 2000 },
  );
});

test("a whole is known when its pieces came from behind, and from both sides", () => {
  const backwards = new Coverage();
  for (let at = length - 1; at >= 0; at--) {
    expect(backwards.isWhole(0, length)).toBe(false);
    backwards.add(at, 1);
  }
  expect(backwards.isWhole(0, length)).toBe(true);
  const sides = new Coverage();
  sides.add(0, 10);
  sides.add(30, 10);
  sides.add(10, 20);
  expect(sides.isWhole(0, length)).toBe(true);
});

test("too many pieces that don't touch are refused", () => {
  const coverage = new Coverage();
  expect(() => {
    for (let at = 0; at < 5000; at++) {
      coverage.add(2 * at, 1);
    }
  }).toThrow(expect.objectContaining({ code: "ERR_IMG_LIMIT" }));
});
