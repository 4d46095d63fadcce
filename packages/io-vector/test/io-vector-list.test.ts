import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { IoVector } from "../src/index.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const contents = (vector: IoVector): number[] => Array.from(vector.toUint8Array());
const cuts = (vector: IoVector): number[][] => Array.from(vector, (buffer) => Array.from(buffer));

/** A buffer that claims a length which no test machine has memory for. */
function claiming(length: number): Uint8Array {
  return Object.defineProperty(new Uint8Array(1), "length", { value: length });
}

describe("making a vector", () => {
  it("has no buffers and no bytes by default", () => {
    const vector = new IoVector();
    expect(vector.length).toBe(0);
    expect(vector.bufferCount).toBe(0);
    expect(vector.isEmpty).toBe(true);
    expect(vector.buffers).toEqual([]);
    expect(vector.singleBuffer).toBeUndefined();
    expect([...vector]).toEqual([]);
  });

  it("keeps the very buffers that it was given, in their order", () => {
    const a = bytes(1, 2);
    const b = bytes(3);
    for (const vector of [
      new IoVector([a, b]),
      IoVector.of(a, b),
      IoVector.from([a, b]),
      new IoVector(new Set([a, b])),
    ]) {
      expect(vector.buffers[0]).toBe(a);
      expect(vector.buffers[1]).toBe(b);
      expect(vector.length).toBe(3);
      expect(vector.bufferCount).toBe(2);
      expect(vector.isEmpty).toBe(false);
      expect(vector.singleBuffer).toBeUndefined();
    }
  });

  it("takes one buffer without a list around it and offers it as the single buffer", () => {
    const buffer = bytes(1, 2, 3);
    for (const vector of [new IoVector(buffer), IoVector.single(buffer), IoVector.from(buffer), IoVector.of(buffer)]) {
      expect(vector.singleBuffer).toBe(buffer);
      expect(vector.length).toBe(3);
      expect(vector.bufferCount).toBe(1);
    }
  });

  it("leaves empty buffers out, wherever they come in", () => {
    const empty = new Uint8Array(0);
    for (const vector of [
      new IoVector(empty),
      IoVector.single(empty),
      IoVector.from(empty),
      IoVector.of(empty, empty),
    ]) {
      expect(vector.bufferCount).toBe(0);
      expect(vector.isEmpty).toBe(true);
    }
    const vector = IoVector.of(empty, bytes(1), empty, bytes(2), empty);
    vector.push(empty);
    vector.insert(1, empty);
    vector.insertAt(1, empty);
    expect(cuts(vector)).toEqual([[1], [2]]);
    expect(cuts(vector.withPushed(empty).withInserted(0, empty))).toEqual([[1], [2]]);
  });

  it("does not cut a buffer to insert an empty one", () => {
    const vector = IoVector.of(bytes(1, 2));
    vector.insertAt(1, new Uint8Array(0));
    expect(vector.bufferCount).toBe(1);
  });

  it("returns a vector itself from `from`, and an independent list from the constructor", () => {
    const vector = IoVector.of(bytes(1));
    expect(IoVector.from(vector)).toBe(vector);
    const other = new IoVector(vector);
    other.push(bytes(2));
    expect(contents(vector)).toEqual([1]);
    expect(contents(other)).toEqual([1, 2]);
  });

  it("does not follow later changes of the array that it was made from", () => {
    const list = [bytes(1)];
    const vector = new IoVector(list);
    list.push(bytes(2));
    expect(contents(vector)).toEqual([1]);
  });

  it("takes a Buffer, a view into the middle of memory, and shared memory", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(2));
    shared.set([5, 6]);
    const vector = IoVector.of(Buffer.from([1, 2]), bytes(0, 3, 4, 0).subarray(1, 3), shared);
    expect(contents(vector)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("takes a Uint8Array of another realm", () => {
    const foreign = runInNewContext("Uint8Array.of(7, 8)") as Uint8Array;
    expect(foreign instanceof Uint8Array).toBe(false);
    for (const vector of [
      new IoVector(foreign),
      IoVector.single(foreign),
      IoVector.from(foreign),
      IoVector.of(foreign),
    ]) {
      expect(contents(vector)).toEqual([7, 8]);
    }
  });

  it.each([
    ["a string", "ab", "buffers: expected a Uint8Array or an iterable of them, found string"],
    ["null", null, "buffers: expected a Uint8Array or an iterable of them, found null"],
    ["a number", 12, "buffers: expected a Uint8Array or an iterable of them, found number"],
    ["an ArrayBuffer", new ArrayBuffer(2), "buffers: expected a Uint8Array or an iterable of them, found ArrayBuffer"],
    ["an array of numbers", [1], "buffer: expected a Uint8Array, found number"],
    ["an array with a hole", [undefined], "buffer: expected a Uint8Array, found undefined"],
    ["clamped bytes", [new Uint8ClampedArray(1)], "buffer: expected a Uint8Array, found Uint8ClampedArray"],
    ["16-bit words", [new Uint16Array(1)], "buffer: expected a Uint8Array, found Uint16Array"],
  ])("refuses %s with a TypeError", (_name, value, message) => {
    expect(() => new IoVector(value as unknown as Uint8Array[])).toThrow(new TypeError(message));
    expect(() => IoVector.from(value as unknown as Uint8Array[])).toThrow(new TypeError(message));
  });

  it("refuses nothing at all in `from` and `single`", () => {
    expect(() => IoVector.from(undefined as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => IoVector.single(undefined as unknown as Uint8Array)).toThrow(
      new TypeError("buffer: expected a Uint8Array, found undefined"),
    );
  });
});

describe("changing the list", () => {
  it("pushes behind the last buffer", () => {
    const vector = IoVector.of(bytes(1));
    vector.push(bytes(2, 3));
    expect(cuts(vector)).toEqual([[1], [2, 3]]);
    expect(vector.length).toBe(3);
  });

  it.each([
    [0, [[9], [1], [2]]],
    [1, [[1], [9], [2]]],
    [2, [[1], [2], [9]]],
  ])("inserts before the buffer with index %i", (index, expected) => {
    const vector = IoVector.of(bytes(1), bytes(2));
    vector.insert(index, bytes(9));
    expect(cuts(vector)).toEqual(expected);
    expect(vector.length).toBe(3);
  });

  it.each([
    [0, [[9], [1, 2], [3, 4]]],
    [1, [[1], [9], [2], [3, 4]]],
    [2, [[1, 2], [9], [3, 4]]],
    [3, [[1, 2], [3], [9], [4]]],
    [4, [[1, 2], [3, 4], [9]]],
  ])("inserts at byte %i and cuts a buffer only where it must", (offset, expected) => {
    const vector = IoVector.of(bytes(1, 2), bytes(3, 4));
    vector.insertAt(offset, bytes(9));
    expect(cuts(vector)).toEqual(expected);
    expect(vector.length).toBe(5);
  });

  it("appends another vector and leaves that as it was", () => {
    const vector = IoVector.of(bytes(1));
    const other = IoVector.of(bytes(2), bytes(3));
    vector.append(other);
    expect(cuts(vector)).toEqual([[1], [2], [3]]);
    expect(vector.length).toBe(3);
    vector.push(bytes(4));
    expect(cuts(other)).toEqual([[2], [3]]);
  });

  it("appends a vector to itself", () => {
    const vector = IoVector.of(bytes(1), bytes(2));
    vector.append(vector);
    expect(cuts(vector)).toEqual([[1], [2], [1], [2]]);
    expect(vector.length).toBe(4);
  });

  it("appends more buffers than a call takes arguments", () => {
    const buffer = bytes(1);
    const vector = new IoVector(Array.from({ length: 300_000 }, () => buffer));
    vector.append(new IoVector(vector));
    vector.insertAt(300_000, bytes(2));
    expect(vector.bufferCount).toBe(600_001);
    expect(vector.length).toBe(600_001);
  });

  it("leaves the original alone when a new vector is asked for", () => {
    const vector = IoVector.of(bytes(1), bytes(2));
    expect(cuts(vector.withPushed(bytes(3)))).toEqual([[1], [2], [3]]);
    expect(cuts(vector.withInserted(1, bytes(3)))).toEqual([[1], [3], [2]]);
    expect(cuts(vector)).toEqual([[1], [2]]);
    expect(vector.length).toBe(2);
  });

  it("shows changes in `buffers`, which is a live view", () => {
    const vector = IoVector.of(bytes(1));
    vector.push(bytes(2));
    expect(vector.buffers.map((buffer) => buffer[0])).toEqual([1, 2]);
  });

  it("refuses bad arguments and is unchanged afterwards", () => {
    const vector = IoVector.of(bytes(1, 2));
    const wrong = "x" as unknown as Uint8Array;
    const notBuffer = new TypeError("buffer: expected a Uint8Array, found string");
    expect(() => {
      vector.push(wrong);
    }).toThrow(notBuffer);
    expect(() => {
      vector.insert(0, wrong);
    }).toThrow(notBuffer);
    expect(() => {
      vector.insertAt(0, wrong);
    }).toThrow(notBuffer);
    expect(() => vector.withPushed(wrong)).toThrow(notBuffer);
    expect(() => vector.withInserted(0, wrong)).toThrow(notBuffer);
    expect(() => {
      vector.insert(2, bytes(1));
    }).toThrow(new RangeError("index: expected an integer from 0x0 to 0x1, found 0x2"));
    expect(() => {
      vector.insert(-1, bytes(1));
    }).toThrow(new RangeError("index: expected an integer from 0x0 to 0x1, found -0x1"));
    expect(() => {
      vector.insertAt(3, bytes(1));
    }).toThrow(new RangeError("offset: expected an integer from 0x0 to 0x2, found 0x3"));
    expect(() => {
      vector.insertAt(0.5, bytes(1));
    }).toThrow(new RangeError("offset: expected an integer from 0x0 to 0x2, found 0.5"));
    expect(() => {
      vector.insertAt("0" as unknown as number, bytes(1));
    }).toThrow(new TypeError("offset: expected a number, found string"));
    expect(() => {
      vector.append([bytes(1)] as unknown as IoVector);
    }).toThrow(new TypeError("other: expected an IoVector, found Array"));
    expect(cuts(vector)).toEqual([[1, 2]]);
    expect(vector.length).toBe(2);
  });

  it("refuses a total length that is not a safe integer and is unchanged afterwards", () => {
    const huge = claiming(Number.MAX_SAFE_INTEGER);
    const vector = IoVector.of(huge);
    const tooLong = new RangeError("length: expected at most 0x1fffffffffffff bytes, found 0x20000000000000");
    expect(vector.length).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => {
      vector.push(bytes(1));
    }).toThrow(tooLong);
    expect(() => {
      vector.insert(0, bytes(1));
    }).toThrow(tooLong);
    expect(() => {
      vector.insertAt(0, bytes(1));
    }).toThrow(tooLong);
    expect(() => {
      vector.append(IoVector.of(bytes(1)));
    }).toThrow(tooLong);
    expect(() => vector.withPushed(bytes(1))).toThrow(tooLong);
    expect(() => IoVector.of(bytes(1), huge)).toThrow(tooLong);
    expect(vector.length).toBe(Number.MAX_SAFE_INTEGER);
    expect(vector.bufferCount).toBe(1);
  });
});

describe("cutting", () => {
  const vector = IoVector.of(bytes(1, 2), bytes(3, 4, 5));

  it.each([
    [
      0,
      [],
      [
        [1, 2],
        [3, 4, 5],
      ],
    ],
    [1, [[1]], [[2], [3, 4, 5]]],
    [2, [[1, 2]], [[3, 4, 5]]],
    [
      4,
      [
        [1, 2],
        [3, 4],
      ],
      [[5]],
    ],
    [
      5,
      [
        [1, 2],
        [3, 4, 5],
      ],
      [],
    ],
    [
      6,
      [
        [1, 2],
        [3, 4, 5],
      ],
      [],
    ],
    [
      Number.MAX_SAFE_INTEGER,
      [
        [1, 2],
        [3, 4, 5],
      ],
      [],
    ],
  ])("splits at byte %i", (mid, head, tail) => {
    const halves = vector.splitAt(mid);
    expect(halves.map(cuts)).toEqual([head, tail]);
    expect(halves[0].length + halves[1].length).toBe(5);
    expect(cuts(vector.splitTailAt(mid))).toEqual(tail);
    expect(cuts(vector)).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
  });

  it("splits a single buffer and an empty vector", () => {
    expect(
      IoVector.of(bytes(1, 2, 3))
        .splitAt(1)
        .map(cuts),
    ).toEqual([[[1]], [[2, 3]]]);
    expect(
      IoVector.of(bytes(1, 2, 3))
        .splitAt(0)
        .map(cuts),
    ).toEqual([[], [[1, 2, 3]]]);
    expect(
      IoVector.of(bytes(1, 2, 3))
        .splitAt(3)
        .map(cuts),
    ).toEqual([[[1, 2, 3]], []]);
    expect(new IoVector().splitAt(0).map(cuts)).toEqual([[], []]);
    expect(new IoVector().splitAt(7).map(cuts)).toEqual([[], []]);
  });

  it("gives halves whose lists are independent of the original's", () => {
    const original = IoVector.of(bytes(1));
    const [head, tail] = original.splitAt(9);
    head.push(bytes(2));
    tail.push(bytes(3));
    expect(cuts(original)).toEqual([[1]]);
  });

  it("slices every range", () => {
    const flat = [1, 2, 3, 4, 5];
    for (let start = 0; start <= 5; start++) {
      expect(contents(vector.slice(start))).toEqual(flat.slice(start));
      for (let end = start; end <= 5; end++) {
        const part = vector.slice(start, end);
        expect(contents(part)).toEqual(flat.slice(start, end));
        expect(part.length).toBe(end - start);
        expect(part.isEmpty).toBe(part.bufferCount === 0);
        expect(contents(IoVector.of(bytes(...flat)).slice(start, end))).toEqual(flat.slice(start, end));
      }
    }
  });

  it("keeps whole buffers themselves and shares the memory of cut ones", () => {
    const a = bytes(1, 2);
    const b = bytes(3, 4);
    const part = IoVector.of(a, b, bytes(5)).slice(1, 4);
    expect(part.buffers[1]).toBe(b);
    expect(part.buffers[0]?.buffer).toBe(a.buffer);
    part.fill(9);
    expect([...a, ...b]).toEqual([1, 9, 9, 9]);
  });

  it("refuses ranges that do not exist instead of clamping them", () => {
    expect(() => vector.slice(0, 6)).toThrow(new RangeError("end: expected an integer from 0x0 to 0x5, found 0x6"));
    expect(() => vector.slice(3, 2)).toThrow(new RangeError("start: expected an integer from 0x0 to 0x2, found 0x3"));
    expect(() => vector.slice(-1)).toThrow(new RangeError("start: expected an integer from 0x0 to 0x5, found -0x1"));
    expect(() => vector.slice(NaN)).toThrow(new RangeError("start: expected an integer from 0x0 to 0x5, found NaN"));
    expect(() => vector.slice(0, 1n as unknown as number)).toThrow(
      new TypeError("end: expected a number, found bigint"),
    );
    expect(() => vector.slice(null as unknown as number)).toThrow(
      new TypeError("start: expected a number, found null"),
    );
    for (const mid of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      expect(() => vector.splitAt(mid)).toThrow(RangeError);
      expect(() => vector.splitTailAt(mid)).toThrow(RangeError);
    }
    expect(() => vector.splitAt("1" as unknown as number)).toThrow(TypeError);
  });
});

describe("chunks", () => {
  it("cuts 3000 buffers into parts of at most 1024, with their offsets", () => {
    const buffers = Array.from({ length: 3000 }, (_, index) => new Uint8Array(1 + (index % 3)).fill(index % 251));
    const vector = new IoVector(buffers);
    const chunks = [...vector.chunks()];
    expect(chunks.map((chunk) => chunk.vector.bufferCount)).toEqual([1024, 1024, 952]);
    let offset = 0;
    for (const chunk of chunks) {
      expect(chunk.offset).toBe(offset);
      expect(contents(chunk.vector)).toEqual(contents(vector.slice(offset, offset + chunk.vector.length)));
      offset += chunk.vector.length;
    }
    expect(offset).toBe(vector.length);
    expect(chunks.flatMap((chunk) => [...chunk.vector]).every((buffer, index) => buffer === buffers[index])).toBe(true);
  });

  it.each([
    [1023, [1023]],
    [1024, [1024]],
    [1025, [1024, 1]],
    [2048, [1024, 1024]],
  ])("cuts %i buffers into %j", (count, expected) => {
    const buffer = bytes(1);
    const vector = new IoVector(Array.from({ length: count }, () => buffer));
    expect([...vector.chunks()].map((chunk) => chunk.vector.bufferCount)).toEqual(expected);
  });

  it("gives the vector itself when it is small enough, and nothing for an empty one", () => {
    const vector = IoVector.of(bytes(1), bytes(2));
    const chunks = [...vector.chunks(2)];
    expect(chunks).toHaveLength(1);
    expect(chunks[0]?.offset).toBe(0);
    expect(chunks[0]?.vector).toBe(vector);
    expect([...new IoVector().chunks()]).toEqual([]);
  });

  it("takes another limit", () => {
    const vector = IoVector.of(bytes(1), bytes(2, 3), bytes(4));
    expect([...vector.chunks(1)].map((chunk) => chunk.offset)).toEqual([0, 1, 3]);
  });

  it("refuses a bad limit at once, not when the iteration begins", () => {
    const vector = IoVector.of(bytes(1));
    for (const limit of [0, -1, 1.5, NaN, Infinity]) expect(() => vector.chunks(limit)).toThrow(RangeError);
    expect(() => vector.chunks("1" as unknown as number)).toThrow(TypeError);
  });
});

describe("isAligned", () => {
  const memory = new ArrayBuffer(4096);

  it("wants each buffer's position and length to be multiples", () => {
    const aligned = IoVector.of(new Uint8Array(memory, 512, 1024), new Uint8Array(memory, 2048, 512));
    expect(aligned.isAligned(512, 512)).toBe(true);
    expect(aligned.isAligned(256, 512)).toBe(true);
    expect(aligned.isAligned(1024, 512)).toBe(false);
    expect(aligned.isAligned(512, 1024)).toBe(false);
    expect(aligned.isAligned(1, 512)).toBe(true);
  });

  it("finds one odd position or one odd length among many", () => {
    const good = new Uint8Array(memory, 0, 512);
    expect(IoVector.of(good, new Uint8Array(memory, 8, 512), good).isAligned(512, 1)).toBe(false);
    expect(IoVector.of(good, new Uint8Array(memory, 8, 512), good).isAligned(8, 512)).toBe(true);
    expect(IoVector.of(good, good, new Uint8Array(memory, 512, 511)).isAligned(512, 1)).toBe(false);
    expect(IoVector.of(good, good, new Uint8Array(memory, 512, 511)).isAligned(1, 512)).toBe(false);
  });

  it("is true for anything at alignment 1, and for an empty vector", () => {
    expect(IoVector.of(new Uint8Array(memory, 3, 5)).isAligned(1, 1)).toBe(true);
    expect(new IoVector().isAligned(4096, 4096)).toBe(true);
  });

  it("accepts pages of a WebAssembly memory", () => {
    const { WebAssembly } = globalThis as unknown as {
      WebAssembly: { Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer } };
    };
    const pages = new WebAssembly.Memory({ initial: 1 }).buffer;
    expect(IoVector.of(new Uint8Array(pages, 4096, 8192)).isAligned(4096, 4096)).toBe(true);
  });

  it("refuses alignments that are not positive integers", () => {
    const vector = IoVector.of(bytes(1));
    for (const alignment of [0, -512, 0.5, NaN, Infinity]) {
      expect(() => vector.isAligned(alignment, 1)).toThrow(RangeError);
      expect(() => vector.isAligned(1, alignment)).toThrow(RangeError);
    }
    expect(() => vector.isAligned("1" as unknown as number, 1)).toThrow(TypeError);
  });
});
