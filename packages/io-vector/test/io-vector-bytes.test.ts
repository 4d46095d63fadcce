import { describe, expect, it } from "vitest";
import { IoVector } from "../src/index.ts";

/** Buffers of the given lengths, cut from one piece of memory with gaps of three bytes that nothing may touch. */
function cut(lengths: readonly number[]): { memory: Uint8Array; vector: IoVector; gapsUntouched: () => boolean } {
  const memory = new Uint8Array(lengths.reduce((sum, length) => sum + length + 3, 3)).fill(0xee);
  const inside = new Set<number>();
  const vector = new IoVector();
  let offset = 3;
  for (const length of lengths) {
    vector.push(memory.subarray(offset, offset + length).fill(0));
    for (let index = 0; index < length; index++) inside.add(offset + index);
    offset += length + 3;
  }
  return { memory, vector, gapsUntouched: () => memory.every((byte, index) => inside.has(index) || byte === 0xee) };
}

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index % 255) + 1);

const SHAPES: readonly (readonly number[])[] = [[], [6], [1, 5], [5, 1], [2, 2, 2], [1, 1, 1, 1, 1, 1], [3, 1, 2]];

describe("copying", () => {
  it.each(SHAPES.map((shape) => [shape]))("copies into and from one buffer of the same length: %j", (shape) => {
    const { vector, gapsUntouched } = cut(shape);
    const source = counting(vector.length);
    vector.copyFromSlice(source);
    expect(vector.toUint8Array()).toEqual(source);
    const target = new Uint8Array(vector.length);
    vector.copyIntoSlice(target);
    expect(target).toEqual(source);
    expect(gapsUntouched()).toBe(true);
  });

  it("copies between vectors, however the two are cut", () => {
    const shapes = SHAPES.filter((shape) => shape.length > 0);
    for (const from of shapes) {
      for (const to of shapes) {
        const source = cut(from);
        source.vector.copyFromSlice(counting(6));
        const target = cut(to);
        source.vector.copyTo(target.vector);
        expect(target.vector.toUint8Array()).toEqual(counting(6));
        const other = cut(to);
        other.vector.copyFrom(source.vector);
        expect(other.vector.toUint8Array()).toEqual(counting(6));
        expect(source.vector.toUint8Array()).toEqual(counting(6));
        expect([source, target, other].every((side) => side.gapsUntouched())).toBe(true);
      }
    }
  });

  it("copies nothing between empty vectors", () => {
    const vector = new IoVector();
    vector.copyTo(new IoVector());
    vector.copyFrom(new IoVector());
    vector.copyIntoSlice(new Uint8Array(0));
    vector.copyFromSlice(new Uint8Array(0));
    expect(vector.toUint8Array()).toEqual(new Uint8Array(0));
  });

  it.each([[[4]], [[1, 3]]])("refuses other lengths before anything is copied: %j", (shape) => {
    for (const length of [0, 3, 5]) {
      const { vector } = cut(shape);
      const buffer = counting(length);
      const found = `0x${length.toString(16)}`;
      expect(() => {
        vector.copyFromSlice(buffer);
      }).toThrow(new RangeError(`source: expected 0x4 bytes, found ${found}`));
      expect(() => {
        vector.copyIntoSlice(buffer);
      }).toThrow(new RangeError(`target: expected 0x4 bytes, found ${found}`));
      expect(() => {
        vector.copyFrom(IoVector.single(buffer));
      }).toThrow(RangeError);
      expect(() => {
        vector.copyTo(IoVector.single(buffer));
      }).toThrow(RangeError);
      expect(vector.isZero()).toBe(true);
      expect(buffer).toEqual(counting(length));
    }
  });

  it("refuses other types", () => {
    const { vector } = cut([4]);
    const array = [1, 2, 3, 4] as unknown as Uint8Array;
    expect(() => {
      vector.copyFromSlice(array);
    }).toThrow(new TypeError("source: expected a Uint8Array, found Array"));
    expect(() => {
      vector.copyIntoSlice(array);
    }).toThrow(new TypeError("target: expected a Uint8Array, found Array"));
    const buffer = counting(4) as unknown as IoVector;
    expect(() => {
      vector.copyFrom(buffer);
    }).toThrow(new TypeError("source: expected an IoVector, found Uint8Array"));
    expect(() => {
      vector.copyTo(buffer);
    }).toThrow(new TypeError("target: expected an IoVector, found Uint8Array"));
    expect(vector.isZero()).toBe(true);
  });

  it("makes a flat copy that shares no memory, even of a single buffer", () => {
    const buffer = counting(3);
    const copy = IoVector.single(buffer).toUint8Array();
    copy.fill(0);
    expect(buffer).toEqual(counting(3));
    expect(copy.constructor).toBe(Uint8Array);
  });
});

describe("fill", () => {
  it("sets every byte by default", () => {
    const { vector, gapsUntouched } = cut([2, 3]);
    vector.fill(0xff);
    expect(vector.toUint8Array()).toEqual(new Uint8Array(5).fill(0xff));
    expect(gapsUntouched()).toBe(true);
  });

  it.each(SHAPES.map((shape) => [shape]))("sets every range and nothing else: %j", (shape) => {
    const length = shape.reduce((sum, part) => sum + part, 0);
    for (let start = 0; start <= length; start++) {
      for (let end = start; end <= length; end++) {
        const { vector, gapsUntouched } = cut(shape);
        vector.fill(7, start, end);
        expect(vector.toUint8Array()).toEqual(new Uint8Array(length).fill(7, start, end));
        expect(gapsUntouched()).toBe(true);
      }
    }
  });

  it("refuses what is not a byte and ranges that do not exist", () => {
    const { vector } = cut([2, 2]);
    for (const byte of [-1, 256, 0.5, NaN])
      expect(() => {
        vector.fill(byte);
      }).toThrow(RangeError);
    expect(() => {
      vector.fill("a" as unknown as number);
    }).toThrow(new TypeError("byte: expected a number, found string"));
    expect(() => {
      vector.fill(1, 0, 5);
    }).toThrow(RangeError);
    expect(() => {
      vector.fill(1, 3, 2);
    }).toThrow(RangeError);
    expect(vector.isZero()).toBe(true);
  });
});

describe("aliasing", () => {
  it("shows writes through the vector in the original buffers", () => {
    const a = new Uint8Array(2);
    const b = new Uint8Array(3);
    IoVector.of(a, b).copyFromSlice(Uint8Array.of(1, 2, 3, 4, 5));
    expect([...a]).toEqual([1, 2]);
    expect([...b]).toEqual([3, 4, 5]);
  });

  it("shows writes to the original buffers in the vector", () => {
    const buffer = new Uint8Array(2);
    const vector = IoVector.of(buffer, buffer);
    buffer[1] = 9;
    expect([...vector.toUint8Array()]).toEqual([0, 9, 0, 9]);
  });

  it("shows writes through a part of a part of a copy of the list in the original buffers", () => {
    const a = new Uint8Array(4);
    const b = new Uint8Array(4);
    const [, tail] = IoVector.of(a, b).withPushed(new Uint8Array(1)).splitAt(2);
    tail.slice(1, 4).fill(5);
    expect([...a, ...b]).toEqual([0, 0, 0, 5, 5, 5, 0, 0]);
  });

  it("shows writes through both pieces of a buffer that an insertion has cut", () => {
    const buffer = new Uint8Array(4);
    const vector = IoVector.of(buffer);
    vector.insertAt(1, new Uint8Array(2));
    vector.copyFromSlice(Uint8Array.of(1, 8, 8, 2, 3, 4));
    expect([...buffer]).toEqual([1, 2, 3, 4]);
  });

  it("shows writes through chunks in the original buffers", () => {
    const buffers = Array.from({ length: 5 }, () => new Uint8Array(1));
    for (const { offset, vector } of new IoVector(buffers).chunks(2)) vector.fill(offset + 1);
    expect(buffers.map((buffer) => buffer[0])).toEqual([1, 1, 3, 3, 5]);
  });
});
