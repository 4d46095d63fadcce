import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatMapping,
  MemoryStorage,
  NullStorage,
  runAsync,
  runSync,
  type FormatAccess,
  type Mapping,
  type ReadStep,
} from "../src/index.ts";
import { asyncOnly } from "./helpers/async-only.ts";
import { blockImage, type Block, type BlockDriver, type BlockDriverOptions } from "./helpers/block-driver.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";
import { hostError, WatchedStorage } from "./helpers/watched-storage.ts";

const block = 1024;

/** An image whose blocks are given: `d` data at a place of its own, `z` zero, `s` special, `.` not in this image. */
function layer(blocks: string, seed: number, options: Partial<BlockDriverOptions> = {}): FormatAccess<BlockDriver> {
  const image = blockImage(new MemoryStorage(pattern(blocks.length * block, seed), { label: `layer ${seed}` }), {
    size: blocks.length * block,
    ...options,
  });
  blocks.split("").forEach((kind, index) => {
    const at = index * block;
    if (kind === "d") image.driver.blocks.set(index, { kind: "data", host: at });
    if (kind === "z") image.driver.blocks.set(index, { kind: "zero" });
    if (kind === "s") {
      image.driver.blocks.set(index, {
        kind: "special",
        bytes: pattern(blocks.length * block, seed + 100).slice(at, at + block),
      });
    }
  });
  return image;
}

/** What a guest has to see of such layers, top first. */
function expected(
  layers: readonly { readonly blocks: string; readonly seed: number; readonly size: number }[],
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  const patterns = layers.map(({ blocks, seed }) => ({
    d: pattern(blocks.length * block, seed),
    s: pattern(blocks.length * block, seed + 100),
  }));
  for (let at = 0; at < Math.min(length, layers[0]!.size); at++) {
    for (const [depth, { blocks, size }] of layers.entries()) {
      const kind = at < size ? blocks[Math.floor(at / block)] : "z";
      if (kind === "d" || kind === "s") bytes[at] = patterns[depth]![kind][at]!;
      if (kind !== ".") break;
    }
  }
  return bytes;
}

describe.each(bothWorlds)("mappings through layers in the $name world", ({ run }) => {
  it("are split exactly where a shorter backing image ends", async () => {
    const base = layer("dddd", 1, { size: 2500, writable: false });
    const top = layer("..........", 2, { backing: base });
    expect(await run(top.io.getMapping(0, 10 * block))).toMatchObject({
      kind: "raw",
      length: 1024,
      depth: 1,
      offset: 0,
    });
    expect(await run(top.io.getMapping(2100, 10 * block))).toMatchObject({
      kind: "raw",
      offset: 2100,
      length: 400,
      depth: 1,
    });
    expect(await run(top.io.getMapping(2500, 10 * block))).toEqual({
      kind: "zero",
      explicit: false,
      length: 3 * block - 2500,
      depth: 1,
    });
    expect(await run(top.io.getMapping(9 * block, 5000))).toMatchObject({ kind: "zero", length: 1024 });
    expect(await run(top.io.getMapping(10 * block, 5000))).toEqual({ kind: "eof", length: 0, depth: 0 });
  });

  it("end with the image on top, however long the ones below are", async () => {
    const base = layer("dddddd", 1);
    const top = layer("...", 2, { backing: base, size: 2500 });
    expect(await run(top.io.getMapping(2048, 5000))).toMatchObject({ kind: "raw", length: 452 });
    expect(await run(top.io.getMapping(2500, 5000))).toMatchObject({ kind: "eof" });
  });

  it("can be written only where every layer on the way lets writes through", async () => {
    const base = layer("dd", 1);
    const top = layer(".d", 2, { backing: base });
    expect(await run(base.io.getMapping(0, 1))).toMatchObject({ writable: true });
    expect(await run(top.io.getMapping(0, 1))).toMatchObject({ kind: "raw", writable: false, depth: 1 });
    expect(await run(top.io.getMapping(block, 1))).toMatchObject({ kind: "raw", writable: true, depth: 0 });
    top.driver.blocks.set(1, { kind: "data", host: 0, shared: true });
    expect(await run(top.io.getMapping(block, 1))).toMatchObject({ writable: false });
  });

  it("are explicitly zero only where the image on top says so", async () => {
    const base = layer("zz.", 1);
    const top = layer("z..", 2, { backing: base });
    const kinds = [];
    for (const at of [0, block, 2 * block]) {
      kinds.push(await run(top.io.getMapping(at, 1)));
    }
    expect(kinds).toMatchObject([
      { kind: "zero", explicit: true, depth: 0 },
      { kind: "zero", explicit: false, depth: 1 },
      { kind: "zero", explicit: false, depth: 1 },
    ]);
  });

  it("carry the layer that has to read what is special", async () => {
    const base = layer("s", 1);
    const top = layer(".", 2, { backing: base });
    expect(await run(top.io.getMapping(100, 5000))).toEqual({
      kind: "special",
      layer: base,
      offset: 100,
      length: 924,
      compressed: true,
      depth: 1,
    });
  });

  it("say what one layer says when that is asked for", async () => {
    const base = layer("d", 1);
    const top = layer(".", 2, { backing: base });
    expect(await run(top.io.getShallowMapping(100, 50))).toMatchObject({
      kind: "indirect",
      layer: base,
      offset: 100,
      length: 50,
      writable: false,
    });
  });

  it("are the same whether the tables are in memory or not", async () => {
    const base = layer("dzs.", 1, { cold: true });
    const top = layer("....", 2, { backing: base, cold: true });
    const warm = layer("....", 2, { backing: layer("dzs.", 1) });
    for (let at = 0; at <= 4 * block; at += 512) {
      const [found, other] = [await run(top.io.getMapping(at, 3000)), await run(warm.io.getMapping(at, 3000))];
      expect(formatMapping(found)).toBe(formatMapping(other));
      expect([found.length, found.depth]).toEqual([other.length, other.depth]);
    }
  });

  it("need a length", async () => {
    const image = layer("d", 1);
    await expect(run(image.io.getMapping(0, 0))).rejects.toThrow(RangeError);
    await expect(run(image.io.getShallowMapping(0, 0))).rejects.toThrow(RangeError);
    await expect(run(image.io.getMapping(-1, 5))).rejects.toThrow(RangeError);
  });
});

describe("a walk over all mappings", () => {
  it("covers the disk in order", async () => {
    const image = layer("dzs.d", 1, { size: 4500 });
    const walked: Mapping[] = [];
    let at = 0;
    for await (const mapping of image.mappings()) {
      expect(mapping.guestOffset).toBe(at);
      at += mapping.length;
      walked.push(mapping);
    }
    expect(at).toBe(4500);
    expect(walked.map(({ kind }) => kind)).toEqual(["raw", "zero", "special", "zero", "raw"]);
  });

  it("covers the part that is asked for, up to the disk's end", async () => {
    const image = layer("ddd", 1);
    const places: [number, number][] = [];
    for await (const { guestOffset, length } of image.mappings({ offset: 1000, length: 100 })) {
      places.push([guestOffset, length]);
    }
    expect(places).toEqual([
      [1000, 24],
      [1024, 76],
    ]);
    places.length = 0;
    for await (const { guestOffset, length } of image.mappings({ offset: 3000, length: 10_000 })) {
      places.push([guestOffset, length]);
    }
    expect(places).toEqual([[3000, 72]]);
  });
});

describe.each(bothWorlds)("a plan of a read in the $name world", ({ run }) => {
  it("covers the range in order, with a step past the end", async () => {
    const image = layer("dd.zs", 1);
    const steps = await run(image.io.planRead(500, 6000, false));
    expect(steps.map(({ kind, guestOffset, length }) => [kind, guestOffset, length])).toEqual([
      ["raw", 500, 524],
      ["raw", 1024, 1024],
      ["zero", 2048, 1024],
      ["zero", 3072, 1024],
      ["special", 4096, 1024],
      ["eof", 5120, 1380],
    ]);
    expect(await run(image.io.planRead(500, 0, true))).toEqual([]);
  });

  it("joins what continues, and nothing else", async () => {
    const base = layer("dddddd", 1, { writable: false });
    const top = layer("ddss..dzz..", 2, { backing: base });
    top.driver.blocks.set(6, { kind: "data", host: 0 });
    const kinds = (steps: readonly ReadStep[]): unknown[] =>
      steps.map(({ kind, depth, length }) => [kind, depth, length / block]);
    expect(kinds(await run(top.io.planRead(0, 11 * block, true)))).toEqual([
      ["raw", 0, 2],
      ["special", 0, 2],
      ["raw", 1, 2],
      ["raw", 0, 1],
      ["zero", 0, 2],
      ["zero", 1, 2],
    ]);
    // neighbours in the guest that aren't on the host
    top.driver.blocks.set(1, { kind: "data", host: 5 * block });
    expect(kinds(await run(top.io.planRead(0, 2 * block, true)))).toEqual([
      ["raw", 0, 1],
      ["raw", 0, 1],
    ]);
    // neighbours on the host of which only one may be written
    top.driver.blocks.set(1, { kind: "data", host: block, shared: true });
    expect(kinds(await run(top.io.planRead(0, 2 * block, true)))).toHaveLength(2);
  });
});

describe.each(bothWorlds)("reading in the $name world", ({ run }) => {
  it("gives what the layers say, for any layers and any range", async () => {
    const blocks = fc
      .array(fc.constantFrom("d", "z", "s", "."), { minLength: 1, maxLength: 6 })
      .map((kinds) => kinds.join(""));
    const cut = fc.nat(block - 1);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(blocks, cut, fc.boolean()), { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(7000), fc.nat(7000)), { minLength: 1, maxLength: 5 }),
        async (stack, ranges) => {
          let image: FormatAccess<BlockDriver> | null = null;
          const layers = [];
          for (const [index, [kinds, missing, cold]] of [...stack].reverse().entries()) {
            const size = kinds.length * block - missing;
            image = layer(kinds, index + 1, { size, cold, backing: image });
            layers.unshift({ blocks: kinds, seed: index + 1, size });
          }
          const model = expected(layers, 15_000);
          for (const [offset, length] of ranges) {
            const half = Math.floor(length / 2);
            const buffer = new Uint8Array(length).fill(0xee);
            await run(image!.io.read(IoVector.of(buffer.subarray(0, half), buffer.subarray(half)), offset));
            expectBytes(buffer, model.subarray(offset, offset + length));
            const whole = new Uint8Array(length).fill(0xee);
            await image!.read(whole, offset);
            expectBytes(whole, buffer);
          }
        },
      ),
      { numRuns: 250 },
    );
  });

  it("makes one large read of what lies together, across blocks and layers", async () => {
    const storage = new WatchedStorage(new MemoryStorage(pattern(256 * block)));
    const image = blockImage(storage, { size: 256 * block, cold: true });
    for (let index = 0; index < 256; index++) {
      image.driver.blocks.set(index, { kind: "data", host: index * block });
    }
    const top = blockImage(new NullStorage(), { size: 256 * block, backing: image, cold: true });
    const buffer = new Uint8Array(256 * block);
    await run(top.io.read(IoVector.single(buffer), 0));
    expectBytes(buffer, pattern(256 * block));
    expect(storage.calls).toMatchObject([{ method: "read", offset: 0, length: 256 * block }]);
  });

  it("makes one read for every run of a fragmented range", async () => {
    const storage = new WatchedStorage(new MemoryStorage(pattern(1000 * block)));
    const image = blockImage(storage, { size: 1000 * block });
    for (let index = 0; index < 1000; index++) {
      image.driver.blocks.set(index, { kind: "data", host: (999 - index) * block });
    }
    const buffer = new Uint8Array(1000 * block);
    await run(image.io.read(IoVector.single(buffer), 0));
    expect(storage.calls).toHaveLength(1000);
    const [written, read] = [pattern(1000 * block), buffer];
    for (let index = 0; index < 1000; index++) {
      const host = (999 - index) * block;
      expectBytes(read.subarray(index * block, (index + 1) * block), written.subarray(host, host + block));
    }
  });

  it("fails with the host's error and reads nothing more", async () => {
    const storage = new WatchedStorage(new MemoryStorage(pattern(100 * block), { label: "bad" }));
    const image = blockImage(storage, { size: 100 * block });
    for (let index = 0; index < 100; index++) {
      image.driver.blocks.set(index, { kind: "data", host: (99 - index) * block });
    }
    image.readParallelization = 2;
    storage.failure = (call) => (call.method === "read" && call.offset === 95 * block ? hostError("EIO") : undefined);
    await expect(run(image.io.read(IoVector.single(new Uint8Array(100 * block)), 0))).rejects.toMatchObject({
      code: "EIO",
      message: "bad: cannot read 1024 bytes at 0x17c00: EIO: as the host says",
    });
    expect(storage.calls.length).toBeLessThan(10);
    storage.failure = () => undefined;
    await run(image.io.read(IoVector.single(new Uint8Array(100 * block)), 0));
  });

  it("refuses a special range that the driver can't read", async () => {
    const image = layer("s", 1);
    Object.defineProperty(image.driver, "readSpecial", { value: undefined });
    await expect(run(image.io.read(IoVector.single(new Uint8Array(5)), 10))).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
  });
});

describe("reading with promises", () => {
  it("asks the storage once for a cached read, and answers without waiting when it does", async () => {
    const storage = new WatchedStorage(new MemoryStorage(pattern(4 * block)));
    const image = blockImage(storage, { size: 4 * block });
    image.driver.blocks.set(1, { kind: "data", host: 2 * block });
    const buffer = new Uint8Array(100);
    const promise = image.read(buffer, block + 10);
    expectBytes(buffer, pattern(4 * block).subarray(2 * block + 10, 2 * block + 110));
    await promise;
    expect(storage.calls).toMatchObject([{ method: "read", offset: 2 * block + 10, length: 100 }]);
    storage.failure = () => hostError("EIO");
    await expect(image.read(buffer, block)).rejects.toMatchObject({ code: "EIO", subject: "memory" });
    expect(image.io.tryShare()).toBe(true);
    image.io.release();
    expect(() => runSync(image.io.exclusive(function* () { yield* []; }))).not.toThrow(); // prettier-ignore
  });

  it("gives its lease back after a late answer or failure", async () => {
    const storage = new WatchedStorage(new MemoryStorage(pattern(4 * block)), { delay: () => 3 });
    const image = blockImage(storage, { size: 4 * block });
    image.driver.blocks.set(0, { kind: "data", host: 0 });
    const inFlight = image.read(new Uint8Array(10), 0);
    expect(() => runSync(image.io.close())).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    await inFlight;
    storage.failure = () => hostError("EIO");
    await expect(image.read(new Uint8Array(10), 0)).rejects.toMatchObject({ code: "EIO" });
    storage.failure = () => undefined;
    runSync(image.io.close());
  });

  it("keeps as many parts in flight as it may, and no more", async () => {
    for (const limit of [1, 3, 8]) {
      const storage = new WatchedStorage(new MemoryStorage(pattern(64 * block)), { delay: () => 4 });
      const image = blockImage(storage, { size: 64 * block });
      for (let index = 0; index < 64; index++) {
        image.driver.blocks.set(index, { kind: "data", host: (63 - index) * block });
      }
      image.readParallelization = limit;
      await image.read(new Uint8Array(64 * block), 0);
      expect([storage.mostInFlight, storage.calls.length]).toEqual([limit, 64]);
    }
  });

  it("refuses a parallelization that isn't one", () => {
    const image = layer("d", 1);
    expect([image.readParallelization, image.writeParallelization]).toEqual([8, 8]);
    for (const count of [0, 1.5, -1, Number.NaN]) {
      expect(() => (image.readParallelization = count)).toThrow(RangeError);
      expect(() => (image.writeParallelization = count)).toThrow(RangeError);
    }
    expect(image.readParallelization).toBe(8);
  });

  it("refuses offsets that aren't any", async () => {
    const image = layer("d", 1);
    for (const offset of [-1, 0.5, Number.MAX_SAFE_INTEGER]) {
      await expect(image.read(new Uint8Array(5), offset)).rejects.toThrow(RangeError);
    }
  });

  it("is refused by name in the synchronous world when a storage below can't", () => {
    const base = blockImage(asyncOnly(new MemoryStorage(pattern(block), { label: "remote" })), { size: block });
    base.driver.blocks.set(0, { kind: "data", host: 0 });
    const top = layer(".", 2, { backing: base });
    expect(() => runSync(top.io.read(IoVector.single(new Uint8Array(10)), 0))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY", subject: "remote" }),
    );
  });

  it("tells the largest alignment of all storages, and which these are", () => {
    const limits = { request: 512, memory: 4096, zero: 512, discard: 512 };
    const storage = new MemoryStorage(undefined, { limits });
    const base = blockImage(storage, { size: block });
    const top = layer(".", 2, { backing: base });
    expect([top.requestAlignment, top.memoryAlignment, top.storages().length]).toEqual([512, 4096, 2]);
    expect(top.storages()[1]).toBe(storage);
  });

  it("never shows a reader anything but one of the states that a block had", async () => {
    const storage = new WatchedStorage(new MemoryStorage(new Uint8Array(8 * block).fill(1)), {
      delay: ({ method }) => (method === "read" ? 2 : 5),
    });
    const image = blockImage(storage, { size: 8 * block });
    const fill: Block = { kind: "data", host: 0 };
    image.driver.blocks.set(0, fill);
    const buffer = new Uint8Array(block);
    const reading = runAsync(image.io.read(IoVector.single(buffer), 0));
    await image.write(new Uint8Array(block).fill(2), 0);
    await reading;
    expect(new Set(buffer).size).toBe(1);
  });
});

describe("formatMapping", () => {
  it("shows people where bytes are", async () => {
    const base = layer("ds", 1, { writable: false });
    const top = layer("..zd", 2, { backing: base });
    const shown = [];
    for (let at = 0; at <= 4 * block; at += block) {
      shown.push(formatMapping(await top.getMapping(at, 1)), formatMapping(await top.getShallowMapping(at, 1)));
    }
    expect(shown).toEqual([
      "layer 1:0x0/ro",
      "<indirect:blocks[layer 1]:0x0/ro>",
      "<special:blocks[layer 1]:0x400>",
      "<indirect:blocks[layer 1]:0x400/ro>",
      "<zero:explicit>",
      "<zero:explicit>",
      "layer 2:0xc00/rw",
      "layer 2:0xc00/rw",
      "<eof>",
      "<eof>",
    ]);
    expect(formatMapping({ kind: "zero", explicit: false, length: 5 })).toBe("<zero:unallocated>");
    expect(formatMapping(await base.getShallowMapping(block, 1))).toBe("<special:0x400>");
  });
});
