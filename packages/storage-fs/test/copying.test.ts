import { closeSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryStorage } from "@img/format-core";
import { describe, expect, it, vi } from "vitest";
import { FileStorage } from "../src/index.ts";
import { loadNative } from "../src/native/load-native.ts";
import { pattern } from "./support/bytes.ts";
import { hasNative, places, scratch, variants } from "./support/places.ts";

const block = 4096;

describe.each(variants)("$name", ({ place, native, blocking }) => {
  const directory = scratch(place);
  const options = { native, blocking } as const;
  const file = (name: string, size: number): string => {
    writeFileSync(join(directory, name), pattern(size));
    return join(directory, name);
  };
  const copies = native === "auto";

  it("copies ranges of another file wherever they come to lie, or says that it can't and leaves all as it is", async () => {
    const bytes = pattern(20 * block + 99);
    const source = await FileStorage.open(file("source", bytes.length), options);
    for (const [from, offset, length] of [
      [0, 0, bytes.length],
      [block, 3 * block, 8 * block],
      [1, 7, 1000],
      [5, 40 * block + 1, 9 * block],
      [0, 0, 0],
    ] as const) {
      for (const world of ["async", "sync"] as const) {
        const before = pattern(30 * block);
        const target = await FileStorage.create(join(directory, "target"), { ...options, overwrite: true });
        writeFileSync(join(directory, "target"), before);
        await target.invalidate();
        const call = world === "async" ? target.copyFrom.bind(target) : target.copyFromSync.bind(target);
        expect(await call(source, from, offset, length)).toBe(copies ? length : 0);
        const expected = new Uint8Array(
          copies && length > 0 ? Math.max(before.length, offset + length) : before.length,
        );
        expected.set(before);
        if (copies) expected.set(bytes.subarray(from, from + length), offset);
        expect(target.size).toBe(expected.length);
        expect(Buffer.compare(readFileSync(join(directory, "target")), expected)).toBe(0);
        await target.close();
      }
    }
    await source.close();
  });

  it("stops where the other file ends, and copies nothing of other storages", async () => {
    const source = await FileStorage.open(file("short", block), options);
    const target = await FileStorage.create(join(directory, "taken"), { ...options, overwrite: true });
    expect(await target.copyFrom(source, 0, 0, 2 * block)).toBe(copies ? block : 0);
    expect(target.size).toBe(copies ? block : 0);
    expect(await target.copyFrom(new MemoryStorage(pattern(block)), 0, 0, block)).toBe(0);
    expect(() => target.copyFrom(source, -1, 0, block)).toThrow(RangeError);
    expect(() => source.copyFrom(target, 0, 0, block)).toThrow(expect.objectContaining({ code: "ERR_IMG_READ_ONLY" }));
    await source.close();
    expect(() => target.copyFrom(source, 0, 0, block)).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
    await target.close();
  });
});

it.runIf(hasNative && places.length > 1)("says that it can't, or copies, between file systems", async () => {
  const [here = "", there = ""] = places.map((place) => scratch(place));
  writeFileSync(join(here, "source"), pattern(block));
  await using source = await FileStorage.open(join(here, "source"));
  await using target = await FileStorage.create(join(there, "target"));
  const copied = await target.copyFrom(source, 0, 0, block);
  expect([0, block]).toContain(copied);
  expect(statSync(join(there, "target")).size).toBe(copied);
});

it.runIf(hasNative)("keeps its source open until it is done, whoever closes that", async () => {
  const directory = scratch();
  const names = ["source", "target", "other"].map((name) => join(directory, name));
  const [from = "", to = "", other = ""] = names;
  writeFileSync(from, pattern(2 * block));
  writeFileSync(other, new Uint8Array(2 * block).fill(0xee));
  const native = loadNative()!;
  const copyRange = native.copyRange.bind(native);
  let goOn = (): void => undefined;
  const paused = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let sourceDescriptor = -1;
  const spy = vi.spyOn(native, "copyRange").mockImplementationOnce((fd, start, target, offset) => {
    sourceDescriptor = fd;
    const call = copyRange(fd, start, target, offset, block);
    return { sync: () => call.sync(), async: () => paused.then(() => call.sync()) };
  });
  try {
    const source = await FileStorage.open(from, { blocking: "never" });
    const target = await FileStorage.create(to, { blocking: "never" });
    const copying = target.copyFrom(source, 0, 0, 2 * block);
    const closing = source.close();
    expect(() => target.copyFrom(source, 0, 0, block)).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    // would get the number
    const taken = openSync(other, "r");
    goOn();
    expect(await copying).toBe(2 * block);
    await closing;
    closeSync(taken);
    expect(Buffer.compare(readFileSync(to), pattern(2 * block))).toBe(0);
    expect(() => fstatSync(sourceDescriptor)).toThrow("EBADF");
    await target.close();
  } finally {
    spy.mockRestore();
  }
});
