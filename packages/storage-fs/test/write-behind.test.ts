import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import { afterEach, describe, expect, it, vi } from "vitest";
import { FileStorage, type FileCreateOptions } from "../src/index.ts";
import { loadNative } from "../src/native/load-native.ts";
import { WriteBehind } from "../src/write-behind.ts";
import { pattern } from "./support/bytes.ts";
import { hasNative, scratch } from "./support/places.ts";

const KiB = 1024;

describe("writing behind", () => {
  it("begins when enough has come together, with all of it, and then anew", () => {
    const begun: [number, number][] = [];
    const behind = new WriteBehind(100, (offset, length) => begun.push([offset, length]));
    behind.wrote(1000, 60);
    behind.wrote(500, 39);
    expect(begun).toEqual([]);
    behind.wrote(1060, 1);
    expect(begun).toEqual([[500, 561]]);
    behind.wrote(0, 99);
    expect(begun).toHaveLength(1);
    behind.wrote(2000, 300);
    expect(begun).toEqual([
      [500, 561],
      [0, 2300],
    ]);
  });
});

describe("a file that is written behind", () => {
  const directory = scratch();

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Writes 256 KiB piece by piece; returns the ranges that the host was asked to begin with. */
  async function written({
    piece = 16 * KiB,
    ...options
  }: FileCreateOptions & { readonly piece?: number }): Promise<unknown[]> {
    const native = loadNative();
    const begin = native === undefined ? undefined : vi.spyOn(native, "beginWriting");
    const path = join(directory, "file");
    const bytes = pattern(256 * KiB);
    {
      await using storage = await FileStorage.create(path, { overwrite: true, ...options });
      for (let at = 0; at < bytes.length; at += piece) {
        await storage.write(IoVector.single(bytes.subarray(at, at + piece)), at);
      }
      await storage.sync();
    }
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    expect(begin?.mock.results.filter(({ value }) => value !== 0) ?? []).toEqual([]);
    return begin?.mock.calls.map(([, offset, length]) => [offset, length]) ?? [];
  }

  it.runIf(hasNative)("has the host begin with each part", async () => {
    expect(await written({ blocking: "always", writeBehind: 64 * KiB })).toEqual(
      [0, 1, 2, 3].map((part) => [part * 64 * KiB, 64 * KiB]),
    );
  });

  it.runIf(hasNative)("has the host begin with what the thread pool has written, too", async () => {
    expect(await written({ blocking: "small", writeBehind: 64 * KiB, piece: 128 * KiB })).toEqual([
      [0, 128 * KiB],
      [128 * KiB, 128 * KiB],
    ]);
  });

  it("is written as ever without that, without the helper, and where nothing may block", async () => {
    expect(await written({ blocking: "always" })).toEqual([]);
    expect(await written({ blocking: "always", native: "off", writeBehind: KiB })).toEqual([]);
    expect(await written({ blocking: "never", writeBehind: KiB })).toEqual([]);
  });
});
