import { ImgError } from "@img/format-core";
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parseZstdFrame } from "../src/codecs/zstd-frame.ts";
import { ZstdWasmCodec } from "../src/codecs/zstd-wasm-codec.ts";

const magic = [0x28, 0xb5, 0x2f, 0xfd];
/** A last block of type "raw" with these bytes. */
const rawBlock = (...bytes: readonly number[]): number[] => [1 | (bytes.length << 3), 0, 0, ...bytes];

function parse(bytes: readonly number[], offset: number = 0): ReturnType<typeof parseZstdFrame> {
  return parseZstdFrame(Uint8Array.from(bytes), offset);
}

function codeOf(bytes: readonly number[]): string | undefined {
  try {
    parse(bytes);
  } catch (error) {
    return error instanceof ImgError ? error.code : String(error);
  }
  return undefined;
}

describe("parseZstdFrame", () => {
  it("finds the end of a frame by its blocks, whatever follows", () => {
    const frame = [...magic, 0x00, 0x58, ...rawBlock(1, 2, 3)];
    expect(parse([...frame, ...magic, 9, 9])).toEqual({
      skippable: false,
      length: frame.length,
      windowSize: 2 ** 21,
      contentSize: undefined,
    });
  });

  it("counts the checksum", () => {
    const frame = [...magic, 0x04, 0x00, ...rawBlock(1), 0xaa, 0xbb, 0xcc, 0xdd];
    expect(parse([...frame, 0]).length).toBe(frame.length);
    expect(codeOf(frame.slice(0, -1))).toBe("ERR_IMG_CORRUPT");
  });

  it("passes over several blocks, of which run-length ones are one byte", () => {
    // 300 times one byte, then a raw block
    const frame = [...magic, 0x00, 0x00, ((300 << 3) & 0xff) | 2, 300 >> 5, 0, 0x55, ...rawBlock(7)];
    expect(parse(frame).length).toBe(frame.length);
  });

  it.each([
    ["1 byte", [0x20, 0x7f], 0x7f],
    ["2 bytes", [0x60, 0x01, 0x02], 0x201 + 256],
    ["4 bytes", [0xa0, 4, 3, 2, 1], 0x01020304],
    ["8 bytes", [0xe0, 8, 7, 6, 5, 4, 3, 2, 0], 0x2030405060708],
  ])("reads a content size of %s, which is the window of a single segment", (_size, header, expected) => {
    const frame = parse([...magic, ...header, ...rawBlock(1)]);
    expect(frame.contentSize).toBe(expected);
    expect(frame.windowSize).toBe(expected);
  });

  it("reads a window's exponent and mantissa", () => {
    expect(parse([...magic, 0x00, 0x00, ...rawBlock(1)]).windowSize).toBe(1024);
    expect(parse([...magic, 0x00, (3 << 3) | 5, ...rawBlock(1)]).windowSize).toBe(8192 + 5 * 1024);
    expect(parse([...magic, 0x00, 0xff, ...rawBlock(1)]).windowSize).toBe(2 ** 41 + (2 ** 41 / 8) * 7);
  });

  it("recognises skippable frames of any kind", () => {
    for (let kind = 0x50; kind <= 0x5f; kind++) {
      const frame = [kind, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
      expect(parse([...frame, 4])).toMatchObject({ skippable: true, length: frame.length });
      expect(codeOf(frame.slice(0, -1))).toBe("ERR_IMG_CORRUPT");
    }
  });

  it("begins at an offset", () => {
    const frame = [...magic, 0x00, 0x00, ...rawBlock(1)];
    expect(parse([1, 2, 3, ...frame], 3).length).toBe(frame.length);
  });

  it("refuses dictionaries, but not the number 0 that means none", () => {
    expect(codeOf([...magic, 0x01, 0x00, 0x07, ...rawBlock(1)])).toBe("ERR_IMG_UNSUPPORTED");
    expect(codeOf([...magic, 0x01, 0x00, 0x00, ...rawBlock(1)])).toBeUndefined();
  });

  it.each([
    ["nothing", []],
    ["half a magic", [0x28, 0xb5]],
    ["another magic", [0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]],
    ["no blocks", [...magic, 0x00, 0x00]],
    ["the reserved bit", [...magic, 0x08, 0x00, ...rawBlock(1)]],
    ["the reserved block type", [...magic, 0x00, 0x00, 7, 0, 0]],
    [
      "a block larger than 128 KiB",
      [...magic, 0x00, 0x00, 0x01 | ((131073 << 3) & 0xff), (131073 >> 5) & 0xff, 131073 >> 13],
    ],
    ["a content size above 2^53", [...magic, 0xe0, 0, 0, 0, 0, 0, 0, 0, 1, ...rawBlock(1)]],
  ])("refuses %s", (_what, bytes) => {
    expect(codeOf(bytes)).toBe("ERR_IMG_CORRUPT");
  });

  it("agrees with what libzstd writes, for any size", () => {
    const codec = new ZstdWasmCodec();
    for (const size of [100, 255, 256, 300, 65535, 65536 + 256, 300_000, 1_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, index) => (index >> 3) & 0xff);
      const frame = codec.compress(bytes)!;
      const found = parseZstdFrame(Buffer.concat([frame, Buffer.alloc(10, 0xff)]), 0);
      expect(found.length).toBe(frame.length);
      expect(found.contentSize).toBe(size);
    }
  });

  it("agrees with what the zstd program writes, if it is there", (context) => {
    const input = Buffer.alloc(500_000, "a line of text, ");
    let frame: Buffer;
    try {
      frame = execFileSync("zstd", ["-c", "-19", "--check"], { input, stdio: ["pipe", "pipe", "ignore"] });
    } catch {
      context.skip("no zstd program here");
      return;
    }
    expect(parseZstdFrame(Buffer.concat([frame, Buffer.alloc(300)]), 0).length).toBe(frame.length);
  });
});
