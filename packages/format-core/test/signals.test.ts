import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import {
  FormatAccess,
  MemoryStorage,
  NullStorage,
  readStorage,
  runAsync,
  zeroStorage,
  type AbortOptions,
} from "../src/index.ts";
import { blockImage } from "./helpers/block-driver.ts";
import { WatchedStorage } from "./helpers/watched-storage.ts";

const block = 1024;
const mebibyte = 1024 * 1024;

/** A storage that aborts the signal with its first call of a method. */
function aborting(method: string, size: number): { storage: WatchedStorage<NullStorage>; signal: AbortSignal } {
  const controller = new AbortController();
  const storage = new WatchedStorage(new NullStorage(size));
  storage.failure = (call) => {
    if (call.method === method) controller.abort(new Error("enough"));
    return undefined;
  };
  return { storage, signal: controller.signal };
}

describe("a signal that is aborted before an operation begins", () => {
  const options: AbortOptions = { signal: AbortSignal.abort(new Error("enough")) };
  const operations: Record<string, (image: FormatAccess) => Promise<void>> = {
    read: (image) => image.read(new Uint8Array(10), 0, options),
    readv: (image) => image.readv(IoVector.single(new Uint8Array(10)), 0, options),
    write: (image) => image.write(new Uint8Array(10), 0, options),
    writev: (image) => image.writev(IoVector.single(new Uint8Array(10)), 0, options),
    writeZeroes: (image) => image.writeZeroes(0, 10, options),
    discardToZero: (image) => image.discardToZero(0, block, options),
    discardToAny: (image) => image.discardToAny(0, block, options),
    discardToBacking: (image) => image.discardToBacking(0, block, options),
    resize: (image) => image.resize(2 * block, "none", options),
    resizeGrow: (image) => image.resizeGrow(2 * block, "none", options),
    resizeShrink: (image) => image.resizeShrink(100, options),
  };

  it.each(Object.keys(operations))("keeps %s from doing anything", async (name) => {
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: block });
    await image.write(new Uint8Array(block), 0);
    storage.calls.length = 0;
    image.driver.log.length = 0;
    await expect(operations[name]!(image)).rejects.toThrow("enough");
    expect([storage.calls, image.driver.log]).toEqual([[], []]);
    await image.close();
  });
});

describe("a signal that is aborted while", () => {
  it("a fragmented range is read stops behind what was looked up", async () => {
    const { storage, signal } = aborting("read", 2048 * block);
    const image = blockImage(storage, { size: 1024 * block });
    for (let index = 0; index < 1024; index++) {
      image.driver.blocks.set(index, { kind: "data", host: (1023 - index) * 2 * block });
    }
    await expect(image.read(new Uint8Array(1024 * block), 0, { signal })).rejects.toThrow("enough");
    expect(storage.of("read")).toHaveLength(256);
  });

  it("several parts are written finishes those that were begun", async () => {
    const { storage, signal } = aborting("write", 0);
    const image = blockImage(storage, { size: 16 * block });
    await expect(image.write(new Uint8Array(16 * block), 0, { signal })).rejects.toThrow("enough");
    expect(image.driver.log).toEqual(["commit 0"]);
    expect([image.driver.locks.size, image.driver.leaked()]).toEqual([0, 0]);
    await image.write(new Uint8Array(16 * block), 0);
  });

  it("zeroes are allocated finishes the part that was begun", async () => {
    const { storage, signal } = aborting("writeZeroes", 0);
    const image = blockImage(storage, { size: 16 * block });
    await expect(image.writeZeroes(0, 16 * block, { allocate: true, signal })).rejects.toThrow("enough");
    expect(image.driver.log).toEqual(["commit 0"]);
    expect(image.driver.locks.size).toBe(0);
  });

  it("a storage is zeroed by writing stops at a multiple of 4 MiB", async () => {
    const { storage, signal } = aborting("write", 64 * mebibyte);
    Object.defineProperty(storage, "writeZeroes", { value: undefined });
    await expect(runAsync(zeroStorage(storage, mebibyte, 32 * mebibyte), signal)).rejects.toThrow("enough");
    expect(storage.of("write").map(({ offset }) => offset / mebibyte)).toEqual([1, 2, 3]);
  });

  it("an unaligned range is read stops behind the piece that was begun", async () => {
    const { storage, signal } = aborting("read", 64 * mebibyte);
    Object.defineProperty(storage, "limits", { value: { request: 512, memory: 1, zero: 512, discard: 512 } });
    const into = IoVector.single(new Uint8Array(4 * mebibyte));
    await expect(runAsync(readStorage(storage, into, 7), signal)).rejects.toThrow("enough");
    expect(storage.of("read")).toHaveLength(1);
  });

  it("the last part is on its way changes nothing", async () => {
    const { storage, signal } = aborting("writeZeroes", 0);
    const image = blockImage(storage, { size: block });
    await image.writeZeroes(0, block, { allocate: true, signal });
    expect(signal.aborted).toBe(true);
  });
});
