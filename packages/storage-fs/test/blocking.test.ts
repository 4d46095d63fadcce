import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { beforeAll, describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern } from "./support/bytes.ts";
import { hasNative, places, scratch } from "./support/places.ts";

const directory = scratch();
const path = join(directory, "file");
// tmpfs itself may be where temporary files go
const onMedium = spawnSync("stat", ["-f", "-c", "%T", tmpdir()], { encoding: "utf8" }).stdout.trim() !== "tmpfs";

beforeAll(() => {
  writeFileSync(path, pattern(1 << 20));
});

describe("how the asynchronous methods wait", () => {
  it.each(["auto", "off"] as const)(
    "answers everything but syncs at once when it may always block, native %s",
    async (native) => {
      const storage = await FileStorage.open(path, { writable: true, blocking: "always", native });
      const vector = IoVector.of(new Uint8Array(4000), new Uint8Array(2 << 20));
      expect(storage.read(vector, 1)).toBeUndefined();
      expect(storage.write(IoVector.single(pattern(5)), 0)).toBeUndefined();
      expect(storage.discard(0, 4096)).toBeUndefined();
      expect(storage.extents(0, 4096)).toBeInstanceOf(Array);
      expect(storage.allocatedSize()).toBeTypeOf("number");
      expect(storage.resize(1 << 20)).toBeUndefined();
      expect(storage.invalidate()).toBeUndefined();
      const syncing = storage.sync();
      expect(syncing).toBeInstanceOf(Promise);
      await syncing;
      await storage.close();
    },
  );

  it("answers nothing at once when it may never block", async () => {
    const storage = await FileStorage.open(path, { writable: true, blocking: "never" });
    const waits: readonly MaybePromise<unknown>[] = [
      storage.read(IoVector.single(new Uint8Array(10)), 0),
      storage.write(IoVector.single(pattern(5)), 0),
      storage.extents(0, 4096),
      storage.allocatedSize(),
      storage.resize(2 << 20, "allocate"),
      storage.invalidate(),
      storage.sync(),
      ...(hasNative ? [storage.discard(0, 4096), storage.writeZeroes(0, 4096)] : []),
    ];
    for (const wait of waits) {
      expect(wait).toBeInstanceOf(Promise);
    }
    await Promise.all(waits.map(async (wait) => wait));
    await storage.close();
  });

  it.runIf(onMedium)("answers at once what is small, and waits for the rest", async () => {
    const storage = await FileStorage.open(path, { writable: true, blocking: "small" });
    const small = 64 * 1024;
    expect(storage.read(IoVector.single(new Uint8Array(small)), 3)).toBeUndefined();
    expect(storage.write(IoVector.single(pattern(small)), 3)).toBeUndefined();
    expect(storage.extents(0, 4096)).toBeInstanceOf(Array);
    const bytes = new Uint8Array(small + 1);
    const long = pattern(small + 1);
    const writing = storage.write(IoVector.single(long), 5);
    expect(writing).toBeInstanceOf(Promise);
    await writing;
    const reading = storage.read(IoVector.single(bytes), 5);
    expect(reading).toBeInstanceOf(Promise);
    await reading;
    expect(Buffer.compare(bytes, long)).toBe(0);
    await storage.close();
  });

  it.runIf(hasNative && onMedium)("reads at once what the host has in memory", async () => {
    writeFileSync(path, pattern(1 << 20));
    const storage = await FileStorage.open(path, { writable: true, blocking: "cached" });
    const single = new Uint8Array(4096);
    expect(storage.read(IoVector.single(single), 1000)).toBeUndefined();
    expect(Buffer.compare(single, pattern(1 << 20).subarray(1000, 5096))).toBe(0);
    const several = new Uint8Array(9000);
    const vector = IoVector.of(several.subarray(0, 1), several.subarray(1, 5000), several.subarray(5000));
    expect(storage.read(vector, 77)).toBeUndefined();
    expect(Buffer.compare(several, pattern(1 << 20).subarray(77, 9077))).toBe(0);

    const long = storage.read(IoVector.single(new Uint8Array(512 * 1024)), 0);
    expect(long).toBeInstanceOf(Promise);
    const writing = storage.write(IoVector.single(pattern(10)), 0);
    expect(writing).toBeInstanceOf(Promise);
    await Promise.all([long, writing]);
    await storage.close();
  });

  it.runIf(hasNative && onMedium)("waits for what the host has only in part", async () => {
    // many buffers, of which the quick way takes the first ones only; and bytes past the end
    const storage = await FileStorage.open(path, { blocking: "cached" });
    const target = new Uint8Array(200 * 10).fill(0xaa);
    const vector = new IoVector();
    for (let index = 0; index < 200; index++) {
      vector.push(target.subarray(index * 10, index * 10 + 10));
    }
    const reading = storage.read(vector, (1 << 20) - 1500);
    expect(reading).toBeInstanceOf(Promise);
    await reading;
    expect(Buffer.compare(target.subarray(0, 1500), pattern(1 << 20).subarray((1 << 20) - 1500))).toBe(0);
    expect(target.subarray(1500).every((byte) => byte === 0)).toBe(true);
    await storage.close();
  });

  it.runIf(hasNative && onMedium)("waits for the medium when the host has nothing", async () => {
    const cold = join(directory, "cold");
    writeFileSync(cold, pattern(4 << 20));
    const dropped = spawnSync("dd", [
      `of=${cold}`,
      "oflag=nocache",
      "conv=notrunc,fdatasync",
      "count=0",
      "status=none",
    ]);
    expect(dropped.status).toBe(0);
    const storage = await FileStorage.open(cold, { blocking: "cached" });
    const target = new Uint8Array(4096);
    const reading = storage.read(IoVector.single(target), 2 << 20);
    expect(reading).toBeInstanceOf(Promise);
    await reading;
    expect(Buffer.compare(target, pattern(4 << 20).subarray(2 << 20, (2 << 20) + 4096))).toBe(0);
    // now it is there
    expect(storage.read(IoVector.single(target), 2 << 20)).toBeUndefined();
    await storage.close();
  });

  it.runIf(places.includes("/dev/shm")).each(["auto", "off"] as const)(
    "takes a file system in memory for cached, native %s",
    async (native) => {
      const memory = join(scratchOnShm, "file");
      const storage = await FileStorage.create(memory, { blocking: "cached", overwrite: true, native });
      expect(storage.write(IoVector.single(pattern(1 << 20)), 0)).toBeUndefined();
      expect(storage.read(IoVector.single(new Uint8Array(1 << 20)), 0)).toBeUndefined();
      await storage.close();
    },
  );
});

const scratchOnShm = scratch(places.includes("/dev/shm") ? "/dev/shm" : tmpdir());
