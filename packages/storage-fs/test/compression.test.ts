import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { systemCompression } from "../src/index.ts";

/** Deterministic bytes that compress to about half. */
function mixed(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, (_, at) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (at >> 7) % 2 === 0 ? state >>> 24 : (at * 7) & 0x3f;
  });
}

const zstd = systemCompression.zstd();
const deflate = systemCompression.deflate();

describe.skipIf(zstd === undefined)("libzstd", () => {
  const { compress, decompress, compressAsync } = {
    compress: (source: Uint8Array, level = 3) => zstd!.compress(source, level)!,
    compressAsync: (source: Uint8Array, level = 3) => zstd!.compressAsync(source, level),
    decompress: (frame: Uint8Array, target: Uint8Array) => zstd!.decompress(frame, target),
  };

  it("is opened once", () => {
    expect(systemCompression.zstd()).toBe(zstd);
  });

  it("gives back what it compressed, into memory that is shared as well", () => {
    for (const length of [1, 512, 65536, 2 * 1024 * 1024]) {
      const bytes = mixed(length);
      const frame = compress(bytes);
      const shared = new Uint8Array(new SharedArrayBuffer(length + 20), 13, length);
      for (const target of [new Uint8Array(length), shared]) {
        expect(decompress(frame, target)).toBe(length);
        expect(Buffer.compare(target, bytes)).toBe(0);
      }
    }
  });

  it("refuses what is cut off, damaged, or doesn't fit, and writes nothing outside of its target", () => {
    const frame = compress(mixed(4096));
    const memory = new Uint8Array(8192).fill(0xee);
    const target = memory.subarray(2048, 2048 + 4095);
    expect(decompress(frame, target)).toBeUndefined();
    expect(decompress(frame.subarray(0, -1), memory.subarray(2048, 6144))).toBeUndefined();
    expect(decompress(Uint8Array.of(1, 2, 3), target)).toBeUndefined();
    expect(memory.subarray(0, 2048).every((byte) => byte === 0xee)).toBe(true);
    expect(memory.subarray(6144).every((byte) => byte === 0xee)).toBe(true);
  });

  it("compresses in several threads at once, to the same bytes as here", async () => {
    const sources = Array.from({ length: 40 }, (_, index) => mixed(1024 * (1 + (index % 7)), index + 1));
    const frames = await Promise.all(sources.map((source) => compressAsync(source)));
    expect(frames).toEqual(sources.map((source) => compress(source)));
  });

  it("compresses here while other threads do", async () => {
    const other = compressAsync(mixed(65536), 15);
    const bytes = mixed(65536, 9);
    const target = new Uint8Array(65536);
    expect(decompress(compress(bytes), target)).toBe(65536);
    expect(Buffer.compare(target, bytes)).toBe(0);
    expect(await other).toEqual(compress(mixed(65536), 15));
  });

  it("takes levels that it doesn't have for the nearest one", () => {
    const bytes = mixed(65536);
    expect(compress(bytes, 1000)).toEqual(compress(bytes, 22));
    expect(compress(bytes, 19).length).toBeLessThan(compress(bytes, 1).length);
  });

  it("takes no more memory after a thousand calls than after the first", async () => {
    const bytes = mixed(65536);
    const frame = compress(bytes);
    const work = async (): Promise<void> => {
      decompress(frame, new Uint8Array(65536));
      await Promise.all([compressAsync(bytes), compressAsync(bytes)]);
    };
    await work();
    const before = process.memoryUsage.rss();
    for (let round = 0; round < 500; round++) {
      await work();
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(128 * 1024 * 1024);
  });
});

describe.skipIf(deflate === undefined)("libdeflate", () => {
  const bytes = mixed(65536);
  const stream = deflateRawSync(bytes, { windowBits: 12 });
  const decompress = (source: Uint8Array, target: Uint8Array): boolean => deflate!.decompress(source, target);

  it("decodes what zlib compressed, whatever follows, into memory that is shared as well", () => {
    const followed = Buffer.concat([stream, mixed(511)]);
    for (const target of [new Uint8Array(65536), new Uint8Array(new SharedArrayBuffer(70000), 77, 65536)]) {
      expect(decompress(followed, target)).toBe(true);
      expect(Buffer.compare(target, bytes)).toBe(0);
    }
  });

  it("says no to what is empty, cut off, damaged, shorter or longer, and writes nothing outside of its target", () => {
    const memory = new Uint8Array(3 * 65536).fill(0xee);
    const target = memory.subarray(65536, 2 * 65536);
    expect(decompress(new Uint8Array(0), target)).toBe(false);
    expect(decompress(stream.subarray(0, -3), target)).toBe(false);
    expect(decompress(Uint8Array.of(0xff, 0xff, 0xff), target)).toBe(false);
    expect(decompress(stream, target.subarray(1))).toBe(false);
    expect(decompress(deflateRawSync(bytes.subarray(1)), target)).toBe(false);
    expect(memory.subarray(0, 65536).every((byte) => byte === 0xee)).toBe(true);
    expect(memory.subarray(2 * 65536).every((byte) => byte === 0xee)).toBe(true);
  });
});
