import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IoVector, isZero, nextRun } from "../src/index.ts";
import type { IoVectorRun } from "../src/index.ts";
import * as native from "../src/zero-node.ts";
import * as portable from "../src/zero-portable.ts";

const IMPLEMENTATIONS = [
  ["native", native],
  ["portable", portable],
] as const;

/** The obvious answer, one byte at a time. */
function modelRuns(bytes: Uint8Array, granularity: number): IoVectorRun[] {
  const runs: { offset: number; length: number; zero: boolean }[] = [];
  for (let offset = 0; offset < bytes.length; offset += granularity) {
    const granule = bytes.subarray(offset, offset + granularity);
    const zero = granule.every((byte) => byte === 0);
    const last = runs.at(-1);
    if (last?.zero === zero) last.length += granule.length;
    else runs.push({ offset, length: granule.length, zero });
  }
  return runs;
}

/** Mostly zero bytes with a few others, at any position relative to a word, as sparse disks have them. */
const sparseBytes = fc
  .record({
    misalignment: fc.nat(9),
    length: fc.oneof(fc.nat(200), fc.nat(3000), fc.integer({ min: 16_000, max: 70_000 })),
    marks: fc.array(fc.record({ at: fc.nat(), byte: fc.constantFrom(1, 0x80, 0xff, 0x7f) }), { maxLength: 4 }),
    stretch: fc.option(fc.record({ at: fc.nat(), length: fc.nat(5000) })),
  })
  .map(({ misalignment, length, marks, stretch }) => {
    // What surrounds the view is not zero, so that looking outside shows.
    const bytes = new Uint8Array(length + misalignment + 9).fill(0xff).subarray(misalignment, misalignment + length);
    bytes.fill(0);
    if (stretch !== null && length > 0) bytes.fill(3, stretch.at % length, (stretch.at % length) + stretch.length);
    for (const { at, byte } of marks) if (length > 0) bytes[at % length] = byte;
    return bytes;
  });

describe.each(IMPLEMENTATIONS)("the %s zero detection", (_name, { isZeroRange, firstNonZero }) => {
  it("finds a single byte or bit at every position and every misalignment", () => {
    const memory = new Uint8Array(300).fill(0xff);
    for (let misalignment = 0; misalignment < 9; misalignment++) {
      const bytes = memory.subarray(misalignment, misalignment + 200).fill(0);
      for (const value of [0x01, 0x80, 0xff]) {
        for (let at = 0; at < 200; at++) {
          bytes[at] = value;
          expect(isZeroRange(bytes, 0, 200)).toBe(false);
          expect(firstNonZero(bytes, 0, 200)).toBe(at);
          expect(isZeroRange(bytes, 0, at)).toBe(true);
          expect(firstNonZero(bytes, 0, at)).toBe(at);
          expect(isZeroRange(bytes, at + 1, 200)).toBe(true);
          expect(firstNonZero(bytes, at + 1, 200)).toBe(200);
          bytes[at] = 0;
        }
      }
      memory.fill(0xff);
    }
  });

  it("is not fooled by the bytes of a negative zero", () => {
    const bytes = new Uint8Array(new Float64Array(64).fill(-0).buffer);
    expect(isZeroRange(bytes, 0, 512)).toBe(false);
    expect(firstNonZero(bytes, 0, 512)).toBe(7);
    const floats = new Uint8Array(new Float32Array(64).fill(-0).buffer);
    expect(isZeroRange(floats, 0, 256)).toBe(false);
    expect(firstNonZero(floats, 0, 256)).toBe(3);
  });

  it("calls an empty range zero wherever it lies", () => {
    const bytes = new Uint8Array(4).fill(1);
    for (let at = 0; at <= 4; at++) {
      expect(isZeroRange(bytes, at, at)).toBe(true);
      expect(firstNonZero(bytes, at, at)).toBe(at);
    }
  });

  it("looks beyond the first step of a large buffer, and at its last byte", () => {
    const bytes = new Uint8Array(2 * 1024 * 1024 + 5);
    expect(isZeroRange(bytes, 0, bytes.length)).toBe(true);
    expect(firstNonZero(bytes, 0, bytes.length)).toBe(bytes.length);
    for (const at of [16_383, 16_384, 16_385, 1_000_003, bytes.length - 1]) {
      bytes[at] = 1;
      expect(isZeroRange(bytes, 0, bytes.length)).toBe(false);
      expect(firstNonZero(bytes, 0, bytes.length)).toBe(at);
      expect(isZeroRange(bytes, 0, at)).toBe(true);
      bytes[at] = 0;
    }
  });

  it("reads shared memory", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(4096));
    expect(isZeroRange(bytes, 0, 4096)).toBe(true);
    bytes[4000] = 1;
    expect(isZeroRange(bytes, 0, 4096)).toBe(false);
    expect(firstNonZero(bytes, 0, 4096)).toBe(4000);
  });
});

describe("the two zero detections", () => {
  it("agree with each other and with the obvious answer on any range of any bytes", () => {
    fc.assert(
      fc.property(fc.oneof(sparseBytes, fc.uint8Array({ maxLength: 300 })), fc.nat(), fc.nat(), (bytes, a, b) => {
        const first = a % (bytes.length + 1);
        const second = b % (bytes.length + 1);
        const start = Math.min(first, second);
        const end = Math.max(first, second);
        const index = bytes.subarray(start, end).findIndex((byte) => byte !== 0);
        for (const [, { isZeroRange, firstNonZero }] of IMPLEMENTATIONS) {
          expect(isZeroRange(bytes, start, end)).toBe(index === -1);
          expect(firstNonZero(bytes, start, end)).toBe(index === -1 ? end : start + index);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("isZero", () => {
  it("looks at the whole buffer by default and at a range when told", () => {
    const bytes = Uint8Array.of(0, 0, 1, 0);
    expect(isZero(bytes)).toBe(false);
    expect(isZero(bytes, 3)).toBe(true);
    expect(isZero(bytes, 0, 2)).toBe(true);
    expect(isZero(bytes, 1, 3)).toBe(false);
    expect(isZero(bytes, 2, 2)).toBe(true);
    expect(isZero(new Uint8Array(0))).toBe(true);
    expect(isZero(Buffer.alloc(100))).toBe(true);
  });

  it("refuses other types and ranges that do not exist", () => {
    const bytes = new Uint8Array(4);
    expect(() => isZero([0, 0] as unknown as Uint8Array)).toThrow(
      new TypeError("buffer: expected a Uint8Array, found Array"),
    );
    expect(() => isZero(new Uint16Array(2) as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => isZero(bytes, 0, 5)).toThrow(new RangeError("end: expected an integer from 0x0 to 0x4, found 0x5"));
    expect(() => isZero(bytes, 3, 2)).toThrow(RangeError);
    expect(() => isZero(bytes, -1)).toThrow(RangeError);
    expect(() => isZero(bytes, "0" as unknown as number)).toThrow(TypeError);
  });

  it("looks at any range of a vector across its buffers", () => {
    const vector = IoVector.of(Uint8Array.of(0, 0), Uint8Array.of(0, 4), Uint8Array.of(0, 0, 0));
    expect(vector.isZero()).toBe(false);
    expect(vector.isZero(0, 3)).toBe(true);
    expect(vector.isZero(0, 4)).toBe(false);
    expect(vector.isZero(3, 4)).toBe(false);
    expect(vector.isZero(4)).toBe(true);
    expect(vector.isZero(3, 3)).toBe(true);
    expect(new IoVector().isZero()).toBe(true);
    expect(() => vector.isZero(0, 8)).toThrow(RangeError);
    expect(() => vector.isZero(2, 1)).toThrow(RangeError);
    expect(() => vector.isZero(NaN)).toThrow(RangeError);
    expect(() => vector.isZero({} as unknown as number)).toThrow(
      new TypeError("start: expected a number, found Object"),
    );
  });
});

describe("nextRun", () => {
  const bytes = Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0);

  it("rounds zeroes down to whole granules and counts the rest as data", () => {
    expect(nextRun(bytes, 0, 4)).toEqual({ zero: true, length: 4 });
    expect(nextRun(bytes, 4, 4)).toEqual({ zero: false, length: 4 });
    expect(nextRun(bytes, 8, 4)).toEqual({ zero: true, length: 3 });
  });

  it("counts granules from where it starts", () => {
    expect(nextRun(bytes, 1, 4)).toEqual({ zero: true, length: 4 });
    expect(nextRun(bytes, 3, 4)).toEqual({ zero: false, length: 4 });
    expect(nextRun(bytes, 5, 2)).toEqual({ zero: false, length: 2 });
  });

  it("stops at the end that it was given", () => {
    expect(nextRun(bytes, 0, 4, 3)).toEqual({ zero: true, length: 3 });
    expect(nextRun(bytes, 4, 4, 6)).toEqual({ zero: false, length: 2 });
    expect(nextRun(bytes, 0, 1, 5)).toEqual({ zero: true, length: 5 });
  });

  it("takes a granularity larger than the buffer", () => {
    expect(nextRun(bytes, 0, Number.MAX_SAFE_INTEGER)).toEqual({ zero: false, length: 11 });
    expect(nextRun(bytes, 7, 4096)).toEqual({ zero: true, length: 4 });
  });

  it("has no length for an empty range", () => {
    expect(nextRun(bytes, 11, 4)).toEqual({ zero: true, length: 0 });
    expect(nextRun(bytes, 5, 4, 5)).toEqual({ zero: true, length: 0 });
  });

  it("refuses bad arguments", () => {
    expect(() => nextRun(bytes, 12, 4)).toThrow(RangeError);
    expect(() => nextRun(bytes, 0, 4, 12)).toThrow(RangeError);
    expect(() => nextRun(bytes, 0, 0)).toThrow(RangeError);
    expect(() => nextRun(bytes, 0, 1.5)).toThrow(RangeError);
    expect(() => nextRun(bytes, 0, undefined as unknown as number)).toThrow(
      new TypeError("granularity: expected a number, found undefined"),
    );
    expect(() => nextRun(null as unknown as Uint8Array, 0, 4, 0)).toThrow(
      new TypeError("buffer: expected a Uint8Array, found null"),
    );
  });

  it("leads through any buffer by the runs of the obvious answer", () => {
    fc.assert(
      fc.property(sparseBytes, fc.constantFrom(1, 2, 3, 16, 100, 512, 4096, 100_000), (buffer, granularity) => {
        const runs: IoVectorRun[] = [];
        for (let offset = 0; offset < buffer.length;) {
          const run = nextRun(buffer, offset, granularity);
          expect(run.length).toBeGreaterThan(0);
          runs.push({ offset, ...run });
          offset += run.length;
        }
        expect(runs).toEqual(modelRuns(buffer, granularity));
      }),
      { numRuns: 300 },
    );
  });
});

describe("zeroRuns", () => {
  it("joins what the borders of buffers cut", () => {
    const vector = IoVector.of(new Uint8Array(3), new Uint8Array(5), Uint8Array.of(0, 1), new Uint8Array(4));
    expect([...vector.zeroRuns(2)]).toEqual([
      { offset: 0, length: 8, zero: true },
      { offset: 8, length: 2, zero: false },
      { offset: 10, length: 4, zero: true },
    ]);
    expect([...vector.zeroRuns(4)]).toEqual([
      { offset: 0, length: 8, zero: true },
      { offset: 8, length: 4, zero: false },
      { offset: 12, length: 2, zero: true },
    ]);
    expect([...vector.zeroRuns(64)]).toEqual([{ offset: 0, length: 14, zero: false }]);
  });

  it("has no runs for an empty vector", () => {
    expect([...new IoVector().zeroRuns(4096)]).toEqual([]);
  });

  it("refuses a bad granularity at once, not when the iteration begins", () => {
    for (const granularity of [0, -1, 0.5, NaN, Infinity]) {
      expect(() => new IoVector().zeroRuns(granularity)).toThrow(RangeError);
    }
    expect(() => new IoVector().zeroRuns("4" as unknown as number)).toThrow(TypeError);
  });

  it("gives the same runs however the bytes are cut", () => {
    fc.assert(
      fc.property(
        sparseBytes,
        fc.constantFrom(1, 2, 7, 64, 512, 4096),
        fc.array(fc.nat(), { maxLength: 12 }),
        (bytes, granularity, positions) => {
          const borders = positions.map((position) => position % (bytes.length + 1)).sort((a, b) => a - b);
          const vector = new IoVector();
          let from = 0;
          for (const to of [...borders, bytes.length]) {
            vector.push(bytes.subarray(from, to));
            from = to;
          }
          expect([...vector.zeroRuns(granularity)]).toEqual(modelRuns(bytes, granularity));
        },
      ),
      { numRuns: 300 },
    );
  });
});
