import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, deflateRawSync } from "node:zlib";
import { isImgError } from "@img/format-core";
import { libraryCodecs, type ClusterCodec } from "@img/qcow2";
import { systemCompression } from "@img/storage-fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convertImages, defaultFormats, openImageSync } from "../src/node.ts";

const clusterSize = 65536;
const size = 64 * clusterSize;

const system = libraryCodecs(systemCompression);
const own = libraryCodecs({ zstd: () => undefined, deflate: () => undefined });

const has = { zlib: systemCompression.deflate() !== undefined, zstd: systemCompression.zstd() !== undefined };

/** Deterministic bytes that compress to about half. */
function mixed(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, (_, at) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (at >> 7) % 2 === 0 ? state >>> 24 : (at * 7) & 0x3f;
  });
}

function decode(codec: ClusterCodec, source: Uint8Array, length: number): Uint8Array | string {
  const target = new Uint8Array(length);
  try {
    codec.decompressInto(source, target);
    return target;
  } catch (error) {
    return isImgError(error) ? error.code : String(error);
  }
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Of what {@link decode} gave. */
function hashOf(decoded: Uint8Array | string): string {
  return typeof decoded === "string" ? decoded : hash(decoded);
}

describe.each(["zlib", "zstd"] as const)("the system's codec for %s", (method) => {
  const codec = system[method];
  const compress = (bytes: Uint8Array): Uint8Array => codec.compress!(bytes)!;

  it("is another one than the package's own exactly where the system has the library", () => {
    expect(codec === own[method]).toBe(!has[method]);
  });

  it("answers cuts, and sectors behind the data, as the package's own codec does, and flipped bits with an ImgError or a full cluster", () => {
    const bytes = mixed(4096);
    const compressed = compress(bytes);
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % below;
    };
    const codes = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const source = Uint8Array.from(compressed.subarray(0, compressed.length - (round % 5 === 0 ? random(40) : 0)));
      const flips = round % 3;
      for (let flip = 0; flip < flips; flip++) {
        source[random(source.length)]! ^= 1 << random(8);
      }
      const followed = round % 2 === 0 ? source : Buffer.concat([source, mixed(1 + random(511), round)]);
      const found = decode(codec, followed, 4096);
      const expected = decode(own[method], followed, 4096);
      if (typeof found === "string") codes.add(found);
      // of frames that were changed, newer versions of libzstd refuse more than older ones
      if (flips === 0 || method === "zlib") {
        expect(hashOf(found)).toBe(hashOf(expected));
      }
    }
    expect([...codes]).toContain("ERR_IMG_CORRUPT");
    expect([...codes].filter((code) => code !== "ERR_IMG_CORRUPT" && code !== "ERR_IMG_UNSUPPORTED")).toEqual([]);
  });

  it("decodes clusters of every size, from both sides", () => {
    for (let bits = 9; bits <= 21; bits += 3) {
      const bytes = mixed(2 ** bits);
      expect(hashOf(decode(codec, own[method].compress!(bytes)!, bytes.length))).toBe(hash(bytes));
      expect(hashOf(decode(own[method], compress(bytes), bytes.length))).toBe(hash(bytes));
    }
  });

  it("keeps to the cluster, whatever the data claims", () => {
    const memory = new Uint8Array(3 * 4096).fill(0xee);
    const target = memory.subarray(4096, 8192);
    for (const source of [compress(mixed(4097)), compress(new Uint8Array(2 * 1024 * 1024))]) {
      try {
        codec.decompressInto(source, target);
        expect(method).toBe("zlib");
      } catch (error) {
        expect(isImgError(error, "ERR_IMG_CORRUPT")).toBe(true);
      }
    }
    expect(memory.subarray(0, 4096).every((byte) => byte === 0xee)).toBe(true);
    expect(memory.subarray(8192).every((byte) => byte === 0xee)).toBe(true);
  });

  it("compresses to the same bytes here and in other threads, and not what doesn't get smaller", async () => {
    const sources = Array.from({ length: 20 }, (_, index) => mixed(clusterSize, index + 1));
    const elsewhere = await Promise.all(
      sources.map(async (source) =>
        codec.compressAsync === undefined ? compress(source) : (await codec.compressAsync(source))!,
      ),
    );
    expect(elsewhere.map(hash)).toEqual(sources.map(compress).map(hash));
    expect(codec.compress!(deflateRawSync(mixed(clusterSize), { level: 9 }))).toBeUndefined();
  });
});

describe("what the system's codec for zlib leaves to others", () => {
  it("is a stream that goes on when the cluster is full, and one that looks back 32 KiB is not", () => {
    const bytes = mixed(2 * clusterSize);
    const expected = bytes.subarray(0, clusterSize);
    expect(hashOf(decode(system.zlib, deflateRawSync(bytes), clusterSize))).toBe(hash(expected));
    const half = mixed(30_000, 5);
    const twice = Buffer.concat([half, half]);
    expect(hashOf(decode(system.zlib, deflateRawSync(twice, { windowBits: 15 }), 60_000))).toBe(hash(twice));
  });

  it("is a stream without an end", () => {
    const bytes = mixed(4096);
    const flushed = deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
    expect(decode(system.zlib, flushed, 4096)).toEqual(bytes);
  });

  it("is compressing, because QEMU reads no streams that look back further than 4 KiB", () => {
    const bytes = mixed(clusterSize);
    expect(hash(system.zlib.compress!(bytes)!)).toBe(hash(own.zlib.compress!(bytes)!));
  });
});

describe("zstd frames by the system's codec", () => {
  it("may want a window of 128 MiB, and no larger one", () => {
    const frame = (window: number): Uint8Array =>
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01 | (4 << 3), 0x00, 0x00, 1, 2, 3, 4);
    expect(decode(system.zstd, frame(17 << 3), 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(decode(system.zstd, frame(18 << 3), 4)).toBe("ERR_IMG_UNSUPPORTED");
  });

  it("have to end where the cluster does", () => {
    expect(decode(system.zstd, system.zstd.compress!(mixed(8192))!, 8191)).toBe("ERR_IMG_CORRUPT");
    expect(decode(system.zstd, system.zstd.compress!(mixed(8192))!, 8193)).toBe("ERR_IMG_CORRUPT");
  });
});

describe.each(["auto", "off"] as const)("images, with the native helper %s", (native) => {
  const directory = mkdtempSync(join(tmpdir(), "img-system-codecs-"));
  const at = (name: string): string => join(directory, name);
  const disk = Buffer.concat([mixed(size / 2), new Uint8Array(size / 4), mixed(size / 4, 3)]);

  beforeAll(() => {
    writeFileSync(at("disk.raw"), disk);
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it.each(["zlib", "zstd"])(
    "that qemu-img compressed with %s are read, and those made here by qemu-img",
    async (type) => {
      const options = `compression_type=${type}`;
      const packed = at(`${type}.qcow2`);
      execFileSync("qemu-img", ["convert", "-c", "-O", "qcow2", "-o", options, at("disk.raw"), packed]);
      const image = openImageSync({ path: packed, native });
      const bytes = new Uint8Array(size);
      await image.read(bytes, 0);
      await image.close();
      expect(Buffer.compare(bytes, disk)).toBe(0);

      const target = { path: at("made.qcow2"), format: "qcow2", createOptions: { compressionType: type }, native };
      await convertImages({ sources: [{ path: packed, native }], target, compressed: true, threads: 2 });
      execFileSync("qemu-img", ["check", at("made.qcow2")]);
      execFileSync("qemu-img", ["convert", "-O", "raw", at("made.qcow2"), at("again.raw")]);
      expect(Buffer.compare(readFileSync(at("again.raw")), disk)).toBe(0);
    },
  );
});

describe("the default formats", () => {
  it("are those without the helper if one of the images is to do without", () => {
    const [withHelper] = defaultFormats({}, { native: "auto" }).formats;
    const [without] = defaultFormats({}, { native: "off" }).formats;
    expect(withHelper).toBe(defaultFormats().formats[0]);
    expect(without).not.toBe(withHelper);
    expect(without?.name).toBe("qcow2");
  });
});
