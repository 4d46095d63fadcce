import { ImgError } from "@img/format-core";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, DeflateRaw, deflateRawSync, inflateRawSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import type { ClusterCodec, Codecs } from "../src/codecs/codec.ts";
import { codecs as node, NodeZlibCodec } from "../src/codecs/node.ts";
import { NodeDeflaters } from "../src/codecs/node-deflaters.ts";
import { codecs as portable } from "../src/codecs/portable.ts";
import type { CompressionLibraries, DeflateLibrary, ZstdLibrary } from "../src/codecs/compression-libraries.ts";
import { libraryCodecs } from "../src/codecs/library-codecs.ts";
import { LibraryZlibCodec } from "../src/codecs/library-zlib-codec.ts";
import { LibraryZstdCodec } from "../src/codecs/library-zstd-codec.ts";
import { zstdDefaultLevel } from "../src/codecs/zstd-default-level.ts";
import { ZstdWasmCodec } from "../src/codecs/zstd-wasm-codec.ts";
import { zstdWasmDeflated, zstdWasmDigest, zstdWasmLength } from "../src/codecs/zstd-wasm-binary.ts";

const clusterSize = 65536;

/** Deterministic bytes of a mixture that compresses to about half. */
function mixed(length: number, seed: number = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = (at >> 7) % 2 === 0 ? state >>> 24 : (at * 7) & 0x3f;
  }
  return bytes;
}

function random(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function decompress(codec: ClusterCodec, source: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length);
  codec.decompressInto(source, target);
  return target;
}

function codeOf(run: () => void): string | undefined {
  try {
    run();
  } catch (error) {
    return error instanceof ImgError ? error.code : `not an ImgError: ${String(error)}`;
  }
  return undefined;
}

/** libzstd as a library of the system would be, by WebAssembly. */
function zstdLibrary(changes: Partial<ZstdLibrary> = {}): ZstdLibrary {
  const codec = new ZstdWasmCodec();
  return {
    decompress: (frame, target) => {
      try {
        return codec.decodeFrame(frame, target);
      } catch {
        return undefined;
      }
    },
    compress: (source, level) => codec.compress(source, { level }),
    compressAsync: async (source, level) => codec.compress(source, { level }),
    ...changes,
  };
}

/** A library that gives up whenever a stream isn't exactly as long as its target. */
function deflateLibrary(changes: Partial<DeflateLibrary> = {}): DeflateLibrary {
  return {
    decompress: (source, target) => {
      try {
        const { buffer, engine } = inflateRawSync(source, { info: true }) as unknown as Inflated;
        if (buffer.length !== target.length || engine.bytesWritten > source.length) return false;
        target.set(buffer);
        return true;
      } catch {
        return false;
      }
    },
    ...changes,
  };
}

/** What Node's encoders are made of. */
interface Encoder {
  readonly _handle: {
    write: (this: Encoder["_handle"], ...args: unknown[]) => void;
    onerror: (message: string, errno: number, code: string) => void;
  };
}

interface Inflated {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

const libraries: CompressionLibraries = { zstd: () => zstdLibrary(), deflate: () => deflateLibrary() };

const all: readonly (readonly [string, Codecs])[] = [
  ["library", libraryCodecs(libraries)],
  ["node", node],
  ["node, as it is documented", { ...node, zlib: new NodeZlibCodec(() => undefined) }],
  ["portable", portable],
];

describe.each(all)("the %s codecs", (_name, codecs) => {
  describe.each(["zlib", "zstd"] as const)("%s", (method) => {
    const codec = codecs[method];
    const compress = (bytes: Uint8Array, level?: number): Uint8Array =>
      codec.compress!(bytes, level === undefined ? {} : { level })!;

    it("gives back what it compressed, for every cluster size", () => {
      for (let bits = 9; bits <= 21; bits++) {
        const bytes = mixed(2 ** bits);
        const compressed = compress(bytes);
        expect(compressed.length).toBeLessThan(bytes.length);
        expect(Buffer.compare(decompress(codec, compressed, bytes.length), bytes)).toBe(0);
      }
    });

    it("ignores garbage behind the compressed data", () => {
      const bytes = mixed(clusterSize);
      const compressed = compress(bytes);
      for (const tail of [new Uint8Array(511), random(511, 3), random(1024, 4), compressed]) {
        expect(Buffer.compare(decompress(codec, concat(compressed, tail), clusterSize), bytes)).toBe(0);
      }
    });

    it("refuses every truncation", () => {
      const compressed = compress(mixed(4096));
      // zlib: an end code of up to 15 bits isn't missed when the target is full
      const needed = compressed.length - (method === "zlib" ? 2 : 0);
      for (let length = 0; length < needed; length++) {
        expect(codeOf(() => decompress(codec, compressed.subarray(0, length), 4096))).toBe("ERR_IMG_CORRUPT");
      }
    });

    it("refuses data that ends before the target is full", () => {
      const compressed = compress(mixed(4096));
      expect(codeOf(() => decompress(codec, compressed, 4097))).toBe("ERR_IMG_CORRUPT");
    });

    it("keeps nothing of a failed call for the next one", () => {
      const bytes = mixed(clusterSize);
      const compressed = compress(bytes);
      for (let round = 0; round < 5; round++) {
        const damaged = Uint8Array.from(compressed);
        damaged.fill(0xff, 200 + round, 900);
        codeOf(() => decompress(codec, damaged, clusterSize));
        expect(Buffer.compare(decompress(codec, compressed, clusterSize), bytes)).toBe(0);
      }
    });

    it("answers random bytes and flipped bits with an ImgError or a full target, never with anything else", () => {
      const compressed = compress(mixed(4096));
      const garbage = fc.uint8Array({ maxLength: 600 });
      const flipped = fc
        .array(fc.tuple(fc.nat(compressed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
        .map((changes) => {
          const copy = Uint8Array.from(compressed);
          for (const [at, value] of changes) copy[at] = value;
          return copy;
        });
      fc.assert(
        fc.property(fc.oneof(garbage, flipped), (source) => {
          const code = codeOf(() => decompress(codec, source, 4096));
          expect([undefined, "ERR_IMG_CORRUPT", "ERR_IMG_UNSUPPORTED"]).toContain(code);
        }),
        { numRuns: 400 },
      );
    });

    it("doesn't write outside of its target", () => {
      const bytes = mixed(4096);
      const compressed = compress(bytes);
      const memory = new Uint8Array(8192).fill(0xee);
      codec.decompressInto(compressed, memory.subarray(1000, 1000 + 4096));
      expect(memory.subarray(0, 1000).every((byte) => byte === 0xee)).toBe(true);
      expect(memory.subarray(5096).every((byte) => byte === 0xee)).toBe(true);
      expect(Buffer.compare(memory.subarray(1000, 5096), bytes)).toBe(0);
    });

    it("has nothing to say about data that doesn't get smaller", () => {
      expect(codec.compress!(random(clusterSize, 7))).toBeUndefined();
      expect(codec.compress!(new Uint8Array([1]))).toBeUndefined();
    });

    it("compresses better or faster as told", () => {
      const bytes = mixed(clusterSize);
      for (const level of [1, 9]) {
        expect(Buffer.compare(decompress(codec, compress(bytes, level), clusterSize), bytes)).toBe(0);
      }
    });
  });

  describe("zlib", () => {
    it("fills the target and stops when the stream goes on", () => {
      const bytes = mixed(3 * clusterSize);
      const compressed = deflateRawSync(bytes, { windowBits: 12 });
      expect(Buffer.compare(decompress(codecs.zlib, compressed, clusterSize), bytes.subarray(0, clusterSize))).toBe(0);
    });

    it("stops a bomb when the target is full", () => {
      const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024));
      expect(decompress(codecs.zlib, bomb, clusterSize).every((byte) => byte === 0)).toBe(true);
    });

    it("reads streams that look back 32 KiB", () => {
      const half = random(30_000, 5);
      const bytes = concat(half, half);
      const compressed = deflateRawSync(bytes, { windowBits: 15, level: 9 });
      expect(compressed.length).toBeLessThan(31_000);
      expect(Buffer.compare(decompress(codecs.zlib, compressed, bytes.length), bytes)).toBe(0);
    });

    it("reads stored, fixed and empty blocks", () => {
      const bytes = mixed(4096);
      const stored = deflateRawSync(bytes, { level: 0 });
      const fixed = deflateRawSync(bytes, { strategy: constants.Z_FIXED });
      const flushed = deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
      for (const compressed of [stored, fixed, flushed]) {
        expect(Buffer.compare(decompress(codecs.zlib, compressed, 4096), bytes)).toBe(0);
      }
    });

    it("writes streams that look back no further than 4 KiB", () => {
      const half = random(8192, 5);
      const compressed = codecs.zlib.compress!(concat(half, half, new Uint8Array(16384)))!;
      // had the second half been found in the first, it would take no room
      expect(compressed.length).toBeGreaterThan(16000);
      expect(inflateRawSync(compressed, { windowBits: 12 }).length).toBe(32768);
    });
  });

  describe("zstd", () => {
    const { zstd } = codecs;

    it("reads frames behind each other, and skips skippable ones", () => {
      const bytes = mixed(8192);
      const first = zstd.compress!(bytes.subarray(0, 5000))!;
      const second = zstd.compress!(bytes.subarray(5000))!;
      const skippable = concat(Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0), random(5, 1));
      const source = concat(skippable, first, skippable, second, random(100, 9));
      expect(Buffer.compare(decompress(zstd, source, 8192), bytes)).toBe(0);
    });

    it("refuses a frame that goes on when the target is full", () => {
      const compressed = zstd.compress!(mixed(8192))!;
      expect(codeOf(() => decompress(zstd, compressed, 8191))).toBe("ERR_IMG_CORRUPT");
    });

    it("refuses a run-length bomb without decoding it", () => {
      // no content size, a window of 128 MiB, 10,000 run-length blocks of 128 KiB
      const block = Uint8Array.of(0x02, 0x00, 0x10, 0x00);
      const blocks = new Uint8Array(40_000);
      for (let at = 0; at < blocks.length; at += 4) blocks.set(block, at);
      blocks[blocks.length - 4]! |= 1;
      const bomb = concat(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88), blocks);
      expect(codeOf(() => decompress(zstd, bomb, clusterSize))).toBe("ERR_IMG_CORRUPT");
    });

    it("reads a frame with a window of 128 MiB, and refuses a larger one", () => {
      const content = Uint8Array.of(0x01 | (4 << 3), 0x00, 0x00, 1, 2, 3, 4);
      const frame = (window: number): Uint8Array =>
        concat(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, window), content);
      expect([...decompress(zstd, frame(17 << 3), 4)]).toEqual([1, 2, 3, 4]);
      expect(codeOf(() => decompress(zstd, frame(18 << 3), 4))).toBe("ERR_IMG_UNSUPPORTED");
      expect(codeOf(() => decompress(zstd, frame(0xff), 4))).toBe("ERR_IMG_UNSUPPORTED");
    });

    it("refuses a content size that isn't true", () => {
      const bytes = mixed(4096);
      const compressed = zstd.compress!(bytes)!;
      const flag = compressed[4]! >> 6;
      expect(flag).toBe(1);
      const low = (compressed[4]! & 0x20) === 0 ? 6 : 5;
      compressed[low]! += 1;
      expect(codeOf(() => decompress(zstd, compressed, 4097))).toBe("ERR_IMG_CORRUPT");
      expect(codeOf(() => decompress(zstd, compressed, 4096))).toBe("ERR_IMG_CORRUPT");
    });
  });
});

describe("the WebAssembly zstd codec", () => {
  it("can be loaded ahead, or not", async () => {
    const loaded = new ZstdWasmCodec();
    await loaded.load();
    await loaded.load();
    const compressed = loaded.compress(mixed(4096))!;
    expect(Buffer.compare(decompress(new ZstdWasmCodec(), compressed, 4096), mixed(4096))).toBe(0);
  });

  it("is the binary that its digest names", () => {
    const bytes = inflateRawSync(Buffer.from(zstdWasmDeflated, "base64"));
    expect(bytes.length).toBe(zstdWasmLength);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(zstdWasmDigest);
  });

  it("takes no more memory after a thousand clusters than after the first", () => {
    const codec = new ZstdWasmCodec();
    const compressed = codec.compress(mixed(clusterSize))!;
    decompress(codec, compressed, clusterSize);
    const before = process.memoryUsage().external;
    for (let round = 0; round < 1000; round++) {
      codec.compress(mixed(4096, round));
      codec.decompressInto(compressed, new Uint8Array(clusterSize));
    }
    globalThis.gc?.();
    expect(process.memoryUsage().external - before).toBeLessThan(96 * 1024 * 1024);
  });
});

describe("the codecs for libraries of the system", () => {
  const withZstd = (zstd: ZstdLibrary | undefined): ClusterCodec =>
    libraryCodecs({ ...libraries, zstd: () => zstd }).zstd;
  const withDeflate = (deflate: DeflateLibrary | undefined): ClusterCodec =>
    libraryCodecs({ ...libraries, deflate: () => deflate }).zlib;

  it("use libraries that pass", () => {
    expect(withZstd(zstdLibrary())).toBeInstanceOf(LibraryZstdCodec);
    expect(withDeflate(deflateLibrary())).toBeInstanceOf(LibraryZlibCodec);
  });

  it("are the package's own where there are no libraries", () => {
    expect(withZstd(undefined)).toBe(node.zstd);
    expect(withDeflate(undefined)).toBe(node.zlib);
  });

  it("ask for a library when its codec is asked for, once", () => {
    const asked: string[] = [];
    const codecs = libraryCodecs({
      zstd: () => void asked.push("zstd"),
      deflate: () => void asked.push("deflate"),
    });
    expect(asked).toEqual([]);
    expect(codecs.zstd).toBe(codecs.zstd);
    expect(asked).toEqual(["zstd"]);
    expect(codecs.zlib).toBe(codecs.zlib);
    expect(asked).toEqual(["zstd", "deflate"]);
  });

  const good = { zstd: zstdLibrary(), deflate: deflateLibrary() };
  it.each<readonly [string, Partial<ZstdLibrary>]>([
    [
      "throws",
      {
        decompress: () => {
          throw new Error("no");
        },
      },
    ],
    ["decodes nothing", { decompress: () => undefined }],
    ["claims to have decoded", { decompress: (_, target) => target.length }],
    [
      "decodes something else",
      {
        decompress: (frame, target) => {
          const length = good.zstd.decompress(frame, target);
          target[7]! ^= 1;
          return length;
        },
      },
    ],
    [
      "writes behind its target",
      {
        decompress: (frame, target) => {
          new Uint8Array(target.buffer)[target.byteOffset + target.length] = 0;
          return good.zstd.decompress(frame, target);
        },
      },
    ],
    [
      "accepts what is cut off",
      { decompress: (frame, target) => good.zstd.decompress(frame, target) ?? target.length },
    ],
    ["doesn't compress", { compress: () => undefined }],
    ["compresses something else", { compress: (source, level) => good.zstd.compress(source.subarray(1), level) }],
  ])("do without a zstd library that %s", (_name, changes) => {
    expect(withZstd(zstdLibrary(changes))).toBe(node.zstd);
  });

  it.each<readonly [string, DeflateLibrary["decompress"]]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["refuses everything", () => false],
    ["accepts everything", () => true],
    [
      "decodes something else",
      (source, target) => {
        const done = good.deflate.decompress(source, target);
        target[7]! ^= 1;
        return done;
      },
    ],
    [
      "writes before its target",
      (source, target) => {
        new Uint8Array(target.buffer)[target.byteOffset - 1] = 0;
        return good.deflate.decompress(source, target);
      },
    ],
    [
      "minds what follows a stream",
      (source, target) => source.at(-1) !== 0xa5 && good.deflate.decompress(source, target),
    ],
  ])("do without a deflate library that %s", (_name, decompress) => {
    expect(withDeflate({ decompress })).toBe(node.zlib);
  });

  it("leave streams to the other codec that go on when the target is full", () => {
    const bytes = mixed(2 * clusterSize);
    const stream = deflateRawSync(bytes);
    expect(deflateLibrary().decompress(stream, new Uint8Array(clusterSize))).toBe(false);
    expect(
      Buffer.compare(decompress(withDeflate(deflateLibrary()), stream, clusterSize), bytes.subarray(0, clusterSize)),
    ).toBe(0);
  });

  it("compress off the thread where the library can, to the same bytes", async () => {
    const bytes = mixed(clusterSize);
    const { zlib, zstd } = libraryCodecs(libraries);
    expect(await zstd.compressAsync!(bytes)).toEqual(zstd.compress!(bytes));
    expect(zstd.compress!(bytes)).toEqual(zstdLibrary().compress(bytes, zstdDefaultLevel));
    expect(await zstd.compressAsync!(random(clusterSize, 3))).toBeUndefined();
    expect(await zlib.compressAsync!(bytes)).toEqual(zlib.compress!(bytes));
    const { compressAsync: _, ...library } = zstdLibrary();
    expect(withZstd(library).compressAsync).toBeUndefined();
  });
});

describe("clusters that node:zlib compresses in the thread pool", () => {
  const codec = new NodeZlibCodec(() => undefined);

  it("give what the thread itself would give, many at once and whatever came before", async () => {
    const sources = Array.from({ length: 60 }, (_, index) => {
      const length = [512, clusterSize, 2 * 1024 * 1024][index % 3]!;
      return index % 5 === 4 ? random(length, index) : mixed(length, index);
    });
    const results = await Promise.all(sources.map(async (source) => codec.compressAsync(source)));
    for (const [index, source] of sources.entries()) {
      const here = codec.compress(source);
      expect(results[index] === undefined).toBe(here === undefined);
      expect(Buffer.compare(results[index] ?? new Uint8Array(), here ?? new Uint8Array())).toBe(0);
    }
    expect(results.filter((result) => result === undefined).length).toBeGreaterThan(5);
    expect(results.filter((result) => result !== undefined).length).toBeGreaterThan(40);
  });

  it("don't depend on those before, of few different bytes and of any length", async () => {
    for (let round = 0; round < 400; round++) {
      const length = 512 << (round % 8);
      const source = random(length, round).map((byte) => byte % (2 + (round % 17)));
      const there = await codec.compressAsync(source);
      expect(Buffer.compare(there ?? new Uint8Array(), codec.compress(source) ?? new Uint8Array())).toBe(0);
    }
  });

  it("are compressed as hard as each is to be", async () => {
    const source = mixed(clusterSize);
    for (const level of [1, 9, 6, undefined]) {
      const options = level === undefined ? {} : { level };
      expect(await codec.compressAsync(source, options)).toEqual(codec.compress(source, options));
    }
    expect(codec.compress(source, { level: 1 })).not.toEqual(codec.compress(source, { level: 9 }));
  });

  it("can be empty", async () => {
    expect(await codec.compressAsync(new Uint8Array())).toBeUndefined();
  });
});

describe("deflating in the thread pool", () => {
  it("tells whose call failed, and goes on with the others", async () => {
    const deflaters = new NodeDeflaters({ windowBits: 12 });
    const bytes = mixed(clusterSize);
    const broken = { length: clusterSize };
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, async (_, index) => deflaters.deflate(index % 3 === 0 ? (broken as never) : bytes)),
    );
    for (const [index, result] of results.entries()) {
      expect(result.status).toBe(index % 3 === 0 ? "rejected" : "fulfilled");
      if (result.status === "fulfilled") {
        expect(Buffer.compare(inflateRawSync(result.value), bytes)).toBe(0);
      }
    }
  });

  it("fails when zlib gets no memory, and goes on with another encoder", { timeout: 30_000 }, async () => {
    const deflaters = new NodeDeflaters({ windowBits: 12 });
    const bytes = mixed(clusterSize);
    const encoders = DeflateRaw.prototype as unknown as { _transform: (this: Encoder, ...args: unknown[]) => void };
    const { _transform: transform } = encoders;
    const spy = vi.spyOn(encoders, "_transform").mockImplementationOnce(function (this: Encoder, ...args: unknown[]) {
      // what the handle does when the encoder can't be made, which happens at the first write
      this._handle.write = function () {
        this.onerror("Init error", constants.Z_MEM_ERROR, "Z_MEM_ERROR");
      };
      transform.apply(this, args);
    });
    try {
      await expect(deflaters.deflate(bytes)).rejects.toMatchObject({ code: "Z_MEM_ERROR" });
    } finally {
      spy.mockRestore();
    }
    for (let round = 0; round < 20; round++) {
      expect(Buffer.compare(inflateRawSync(await deflaters.deflate(bytes)), bytes)).toBe(0);
    }
  });

  it("leaves no listeners on encoders that are used again", async () => {
    const deflaters = new NodeDeflaters({ windowBits: 12 });
    const warned = vi.spyOn(process, "emitWarning");
    try {
      for (let round = 0; round < 20; round++) {
        await deflaters.deflate(mixed(clusterSize, round));
      }
      expect(warned).not.toHaveBeenCalled();
    } finally {
      warned.mockRestore();
    }
  });
});

/** The compressed clusters of an image made by qemu-img, as its L2 tables name them. */
function qemuClusters(method: "zlib" | "zstd", bytes: Uint8Array): { source: Uint8Array; guest: number }[] {
  const directory = mkdtempSync(join(tmpdir(), "img-codecs-"));
  try {
    const raw = join(directory, "raw");
    const image = join(directory, "image");
    writeFileSync(raw, bytes);
    const options = `compression_type=${method}`;
    execFileSync("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, image]);
    const file = readFileSync(image);
    const view = new DataView(file.buffer, file.byteOffset, file.length);
    const l2 = Number(view.getBigUint64(Number(view.getBigUint64(40)))) & ~511;
    const found: { source: Uint8Array; guest: number }[] = [];
    for (let index = 0; index < bytes.length / clusterSize; index++) {
      const high = view.getUint32(l2 + index * 8);
      if ((high & 0x4000_0000) === 0) continue;
      // 64 KiB clusters: 54 bits of offset, then the number of further sectors
      const sectors = (high & 0x3fff_ffff) >>> 22;
      const offset = (high & 0x3f_ffff) * 2 ** 32 + view.getUint32(l2 + index * 8 + 4);
      const length = (sectors + 1) * 512 - (offset % 512);
      const source = new Uint8Array(length);
      source.set(file.subarray(offset, offset + length));
      found.push({ source, guest: index * clusterSize });
    }
    return found;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.each(["zlib", "zstd"] as const)("clusters that qemu-img compressed with %s", (method) => {
  it("are read by every implementation", () => {
    const bytes = mixed(40 * clusterSize);
    const clusters = qemuClusters(method, bytes);
    expect(clusters.length).toBe(40);
    for (const { source, guest } of clusters) {
      for (const [, codecs] of all) {
        const found = decompress(codecs[method], source, clusterSize);
        expect(Buffer.compare(found, bytes.subarray(guest, guest + clusterSize))).toBe(0);
      }
    }
  });
});
