import { AssertionError } from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { assertBytes, assertBytesOfEither, ModelDisk, SeededRandom } from "../src/index.ts";

describe("ModelDisk", () => {
  it("grows by writes, with zeroes in gaps and behind its end", () => {
    const disk = new ModelDisk(new Uint8Array([1, 2]));
    disk.write(new Uint8Array([9]), 4);
    expect([...disk.read()]).toEqual([1, 2, 0, 0, 9]);
    expect([...disk.read(4, 3)]).toEqual([9, 0, 0]);
    disk.write(new Uint8Array(0), 100);
    expect(disk.size).toBe(5);
  });

  it("zeroes what lies inside only", () => {
    const disk = new ModelDisk(new Uint8Array([1, 2, 3]));
    disk.zero(2, 10);
    expect([...disk.read()]).toEqual([1, 2, 0]);
  });

  it("forgets what is cut off", () => {
    const disk = new ModelDisk(new Uint8Array([1, 2, 3]));
    disk.resize(1);
    disk.resize(3);
    expect([...disk.read()]).toEqual([1, 0, 0]);
  });

  it("accepts anything where it was discarded, until it is written or zeroed", () => {
    const disk = new ModelDisk(new Uint8Array([1, 2, 3, 4]));
    disk.discardToAny(1, 2);
    expect(disk.isDefined()).toBe(false);
    disk.check(new Uint8Array([1, 77, 88, 4]), 0);
    expect(() => disk.check(new Uint8Array([1, 77, 88, 5]), 0)).toThrow(AssertionError);
    disk.write(new Uint8Array([5]), 1);
    disk.zero(2, 1);
    expect(disk.isDefined()).toBe(true);
    expect(() => disk.check(new Uint8Array([1, 77, 88, 4]), 0)).toThrow(/0x1/);
    disk.check(new Uint8Array([5, 0, 4, 0]), 1);
  });

  it("accepts anything in growth that nobody defined", () => {
    const disk = new ModelDisk(1);
    disk.resize(3, true);
    disk.check(new Uint8Array([0, 5, 6, 0]), 0);
    expect(() => disk.check(new Uint8Array([0, 5, 6, 7]), 0)).toThrow(AssertionError);
  });

  it("is copied with what it doesn't know", () => {
    const disk = new ModelDisk(new Uint8Array([1, 2]));
    disk.discardToAny(0, 1);
    const copy = disk.clone();
    disk.write(new Uint8Array([3, 3]), 0);
    copy.check(new Uint8Array([200, 2]), 0);
    expect(() => copy.check(new Uint8Array([200, 3]), 0)).toThrow(AssertionError);
  });

  it("asserts its size", () => {
    new ModelDisk(5).checkSize(5);
    expect(() => new ModelDisk(5).checkSize(6)).toThrow(/size is 6, expected 5/);
  });
});

describe("assertBytes", () => {
  it("names the first byte that is wrong, and how many are", () => {
    assertBytes(new Uint8Array([1, 2]), new Uint8Array([1, 2]), "it");
    expect(() => assertBytes(new Uint8Array([1, 2, 3]), new Uint8Array([1, 9, 9]), "it", 0x100)).toThrow(
      "it: bytes from 0x101 are 0203, expected 0909 (2 of 3 differ)",
    );
    expect(() => assertBytes(new Uint8Array(1), new Uint8Array(2), "it")).toThrow("it: found 1 bytes, expected 2");
  });

  it("accepts bytes of either candidate, byte by byte", () => {
    const [zeroes, ones] = [new Uint8Array(2000), new Uint8Array(2000).fill(1)];
    const mixed = zeroes.slice().fill(1, 700, 1300);
    assertBytesOfEither(mixed, [zeroes, ones], "it");
    mixed[1500] = 2;
    expect(() => assertBytesOfEither(mixed, [zeroes, ones], "it")).toThrow(/0x5dc/);
  });
});

describe("SeededRandom", () => {
  it("gives the same for the same seed", () => {
    const [one, same, other] = [new SeededRandom(7), new SeededRandom(7), new SeededRandom(8)];
    const draw = (random: SeededRandom): unknown[] => [random.next(), random.integer(0, 2 ** 50), [...random.bytes(9)]];
    const first = draw(one);
    expect(draw(same)).toEqual(first);
    expect(draw(other)).not.toEqual(first);
  });

  it("gives integers of the whole range, both ends included", () => {
    const random = new SeededRandom(1);
    const seen = new Set(Array.from({ length: 200 }, () => random.integer(3, 6)));
    expect([...seen].sort()).toEqual([3, 4, 5, 6]);
    expect(random.integer(5, 5)).toBe(5);
    const large = Array.from({ length: 50 }, () => random.integer(0, 2 ** 52));
    expect(large.every(Number.isSafeInteger)).toBe(true);
    expect(Math.max(...large)).toBeGreaterThan(2 ** 50);
    expect(() => random.integer(2, 1)).toThrow(RangeError);
  });

  it("gives bytes of which none is zero", () => {
    const bytes = new SeededRandom(3).bytes(20_001);
    expect(bytes).toHaveLength(20_001);
    expect(bytes.includes(0)).toBe(false);
    expect(new Set(bytes).size).toBe(255);
  });

  it("picks and chooses", () => {
    const random = new SeededRandom(2);
    expect(new Set(Array.from({ length: 50 }, () => random.pick(["a", "b"])))).toEqual(new Set(["a", "b"]));
    expect(() => random.pick([])).toThrow(RangeError);
    expect([random.chance(0), random.chance(1)]).toEqual([false, true]);
  });
});
