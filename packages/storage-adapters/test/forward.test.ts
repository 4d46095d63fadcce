import { setImmediate as turn } from "node:timers/promises";
import { Readable } from "node:stream";
import {
  InterceptingStorage,
  isImgError,
  MemoryStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SeededRandom } from "@img/testing";
import { describe, expect, it, vi } from "vitest";
import { forwardStorage, type ForwardSource, type ForwardStorageOptions } from "../src/index.ts";
import { pattern, readBytes } from "./support/bytes.ts";

const KiB = 1024;
const block = 64 * KiB;
const contents = pattern(40 * block + 777);

/** Gives bytes in pieces of a length, and counts how many it was asked for. */
class Pieces implements AsyncIterableIterator<Uint8Array> {
  given = 0;
  returned = 0;
  readonly #bytes: Uint8Array;
  readonly #length: number;

  constructor(bytes: Uint8Array = contents, length: number = block) {
    this.#bytes = bytes;
    this.#length = length;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const piece = this.#bytes.subarray(this.given, this.given + this.#length);
    this.given += piece.length;
    return piece.length === 0 ? { done: true, value: undefined } : { done: false, value: piece };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.returned++;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** A spill in memory, and whether it was closed. */
function memorySpill(): { readonly storage: MemoryStorage; opened: number; readonly spill: () => Storage } {
  const storage = new MemoryStorage();
  const counts = {
    storage,
    opened: 0,
    spill: () => {
      counts.opened++;
      return storage;
    },
  };
  return counts;
}

async function* chunks(...pieces: readonly unknown[]): AsyncGenerator<unknown, void, undefined> {
  yield* pieces;
}

const small: ForwardStorageOptions = { memory: 2 * block };

describe("a stream", () => {
  const sources: readonly { readonly name: string; readonly make: () => ForwardSource }[] = [
    { name: "a generator", make: () => chunks(contents.subarray(0, 5), new Uint8Array(0), contents.subarray(5)) },
    { name: "a web stream", make: () => new Blob([contents]).stream() },
    { name: "a Readable", make: () => Readable.from(new Pieces(contents, 1000)) },
    { name: "one piece that is longer than all memory", make: () => chunks(contents) },
    { name: "pieces of few bytes", make: () => new Pieces(contents, 7) },
    {
      name: "views and buffers",
      make: () => chunks(contents.buffer.slice(0, 100), new DataView(contents.buffer, 100)),
    },
  ];
  it.each(sources)("is read from $name, once in order, in memory that is bounded", async ({ make }) => {
    await using storage = forwardStorage(make(), small);
    expect(storage.size).toBe(Infinity);
    const lengths = new SeededRandom(1);
    for (let at = 0; at < contents.length;) {
      const length = Math.min(lengths.integer(1, 200 * KiB), contents.length - at);
      expect(Buffer.compare(await readBytes(storage, at, length), contents.subarray(at, at + length))).toBe(0);
      expect(storage.usage().memory).toBeLessThanOrEqual(2 * block);
      at += length;
    }
    expect(storage.usage()).toMatchObject({ position: contents.length, spilled: 0, peakSpilled: 0 });
  });

  it("is read from pieces of one byte", async () => {
    await using storage = forwardStorage(new Pieces(contents.subarray(0, 70_000), 1));
    expect(await readBytes(storage, 65_000, 5000)).toEqual(contents.subarray(65_000, 70_000));
    expect(Buffer.compare(await readBytes(storage, 0, 65_000), contents.subarray(0, 65_000))).toBe(0);
  });

  it("is consumed only as far as reads need it", async () => {
    const pieces = new Pieces();
    await using storage = forwardStorage(pieces, { size: contents.length });
    expect(storage.size).toBe(contents.length);
    await turn();
    expect(pieces.given).toBe(0);
    await readBytes(storage, 10, 20);
    await turn();
    expect(pieces.given).toBe(block);
    await readBytes(storage, block - 1, 1);
    expect(pieces.given).toBe(block);
    await readBytes(storage, block - 1, 2);
    expect(pieces.given).toBe(2 * block);
  });

  it("may reuse its memory for the next piece", async () => {
    const shared = new Uint8Array(1000);
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for (let at = 0; at < contents.length; at += 1000) {
        const piece = contents.subarray(at, at + 1000);
        shared.set(piece);
        yield shared.subarray(0, piece.length);
        shared.fill(0xee);
      }
    };
    await using storage = forwardStorage(source());
    const later = await readBytes(storage, 20 * block, 100);
    expect(later).toEqual(contents.subarray(20 * block, 20 * block + 100));
    expect(Buffer.compare(await readBytes(storage, 0, 20 * block), contents.subarray(0, 20 * block))).toBe(0);
  });

  it("serves reads in any order, each from where it needs it, without keeping what somebody waits for", async () => {
    await using storage = forwardStorage(new Pieces(contents, 1234), small);
    const places = Array.from({ length: 40 }, (_, index) => index * block).reverse();
    const reads = await Promise.all(places.map((at) => readBytes(storage, at, block + 1)));
    const found = Buffer.concat(reads.reverse().map((each) => each.subarray(0, block)));
    expect(Buffer.compare(found, contents.subarray(0, 40 * block))).toBe(0);
  });

  it("refuses to be written, and everything once it is closed", async () => {
    const pieces = new Pieces();
    const storage = forwardStorage(pieces);
    await expect((async () => storage.write(IoVector.single(new Uint8Array(1)), 0))()).rejects.toMatchObject({
      code: "ERR_IMG_READ_ONLY",
    });
    await storage[Symbol.asyncDispose]();
    await storage[Symbol.asyncDispose]();
    expect(pieces.returned).toBe(1);
    expect(() => storage.read(IoVector.single(new Uint8Array(1)), 0)).toThrow(
      expect.objectContaining({ code: "ERR_IMG_CLOSED" }),
    );
    await expect(storage.measure()).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });

  it("refuses impossible options", () => {
    expect(() => forwardStorage(new Pieces(), { memory: block })).toThrow(RangeError);
    expect(() => forwardStorage(new Pieces(), { size: -1 })).toThrow(RangeError);
    expect(() => forwardStorage(new Pieces(), { spillLimit: 0.5 })).toThrow(RangeError);
  });
});

describe("what a read passes over", () => {
  it("is kept until it was read, in memory and then in the spill storage, which isn't made before", async () => {
    const spill = memorySpill();
    await using storage = forwardStorage(new Pieces(), { memory: 4 * block, spill: spill.spill });
    await readBytes(storage, 3 * block, 10);
    expect(spill.opened).toBe(0);
    await readBytes(storage, 30 * block, 10);
    expect(spill.opened).toBe(1);
    const { spilled, memory } = storage.usage();
    expect(memory).toBeLessThanOrEqual(4 * block);
    expect(spilled).toBeGreaterThanOrEqual(26 * block);
    expect(Buffer.compare(await readBytes(storage, 0, contents.length), contents)).toBe(0);
    expect(storage.usage()).toMatchObject({ spilled: 0 });
    expect(storage.usage().memory).toBeLessThanOrEqual(4 * block);
    expect(storage.usage().peakSpilled).toBeLessThanOrEqual(30 * block);
  });

  it("gives the same bytes for random programs of reads", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const spill = memorySpill();
      await using storage = forwardStorage(new Pieces(contents, random.integer(1, 3 * block)), {
        memory: random.integer(2, 12) * block,
        spill: spill.spill,
      });
      // every byte is read once, in parts whose order is random, some of them at the same time
      const edges = [0, ...Array.from({ length: 60 }, () => random.integer(1, contents.length - 1)), contents.length];
      edges.sort((a, b) => a - b);
      const parts = edges.slice(1).map((end, index) => ({ start: edges[index]!, end }));
      parts.sort(() => random.next() - 2 ** 31);
      while (parts.length > 0) {
        const some = parts.splice(0, random.integer(1, 8));
        const found = await Promise.all(some.map(({ start, end }) => readBytes(storage, start, end - start)));
        for (const [index, { start, end }] of some.entries()) {
          expect(Buffer.compare(found[index]!, contents.subarray(start, end)), `seed ${String(seed)}`).toBe(0);
        }
        expect(storage.usage().memory).toBeLessThanOrEqual(12 * block);
      }
      expect(storage.usage().spilled, `seed ${String(seed)}`).toBe(0);
    }
  });

  it("takes no room where it is zero", async () => {
    const zeroes = new Uint8Array(200 * block);
    zeroes.set(contents.subarray(0, 10), 100 * block);
    zeroes[zeroes.length - 1] = 1;
    await using storage = forwardStorage(new Pieces(zeroes, 50_000), small);
    expect((await readBytes(storage, 200 * block - 1, 1))[0]).toBe(1);
    expect(storage.usage().memory).toBeLessThanOrEqual(2 * block);
    for (let again = 0; again < 2; again++) {
      expect(Buffer.compare(await readBytes(storage, 0, 90 * block), zeroes.subarray(0, 90 * block))).toBe(0);
    }
    expect(await readBytes(storage, 100 * block - 5, 20)).toEqual(zeroes.subarray(100 * block - 5, 100 * block + 15));
  });

  it("isn't lost when there is no room for more: the read is refused, and goes on when there is", async () => {
    const spill = memorySpill();
    await using storage = forwardStorage(new Pieces(), {
      memory: 4 * block,
      spill: spill.spill,
      spillLimit: 8 * block + 5,
      label: "the stream",
    });
    await expect(readBytes(storage, 20 * block, 10)).rejects.toMatchObject({
      code: "ERR_IMG_LIMIT",
      subject: "the stream",
      message: expect.stringMatching(/^the stream: cannot read on from 0xc0000 to 0x140000: /) as unknown,
    });
    expect(storage.usage()).toMatchObject({ position: 12 * block, spilled: 8 * block, memory: 4 * block });
    await expect(readBytes(storage, 12 * block, 10)).resolves.toEqual(contents.subarray(12 * block, 12 * block + 10));
    await expect(readBytes(storage, 30 * block, 10)).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    expect(Buffer.compare(await readBytes(storage, 0, 12 * block), contents.subarray(0, 12 * block))).toBe(0);
    await readBytes(storage, 20 * block, 10);
    await expect(readBytes(storage, 13 * block, block)).resolves.toEqual(contents.subarray(13 * block, 14 * block));
  });

  it("stays where it is when spilling fails, and is spilled the next time", async () => {
    let failures = 3;
    const spill = memorySpill();
    const write = vi.spyOn(spill.storage, "write").mockImplementation((from, offset) => {
      if (failures-- > 0) {
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      }
      write.mockRestore();
      spill.storage.write(from, offset);
    });
    await using storage = forwardStorage(new Pieces(), { memory: 4 * block, spill: spill.spill });
    await expect(readBytes(storage, 20 * block, 10)).rejects.toMatchObject({ code: "ENOSPC" });
    await readBytes(storage, 20 * block, 10);
    expect(Buffer.compare(await readBytes(storage, 0, 20 * block), contents.subarray(0, 20 * block))).toBe(0);
  });

  it("can be read while others of it are still being spilled, and the spill storage is closed after that", async () => {
    const spill = memorySpill();
    const writes: (() => void)[] = [];
    const { storage: inner } = spill;
    class SlowStorage extends InterceptingStorage {
      protected override intercept<T>({ method }: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
        return method === "write" ? new Promise<void>((resolve) => writes.push(resolve)).then(proceed) : proceed();
      }
    }
    const slow = new SlowStorage(inner);
    const storage = forwardStorage(new Pieces(), { memory: 4 * block, spill: () => slow });
    const far = readBytes(storage, 5 * block, 10);
    while (writes.length === 0) {
      await turn();
    }
    expect(Buffer.compare(await readBytes(storage, 0, 2 * block), contents.subarray(0, 2 * block))).toBe(0);
    const closed = storage[Symbol.asyncDispose]();
    await expect(far).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    for (const each of writes) {
      each();
    }
    await closed;
    await expect((async () => inner.read(IoVector.single(new Uint8Array(1)), 0))()).rejects.toMatchObject({
      code: "ERR_IMG_CLOSED",
    });
  });
});

describe("what was read once", () => {
  it("can be read again as long as it is small and there is memory", async () => {
    await using storage = forwardStorage(new Pieces(), { memory: 8 * block });
    await readBytes(storage, 0, 4 * KiB);
    for (let at = 4 * KiB; at < 30 * block; at += 4 * block) {
      await readBytes(storage, at, 4 * block);
    }
    expect(await readBytes(storage, 0, 4 * KiB)).toEqual(contents.subarray(0, 4 * KiB));
    for (let index = 33; index < 40; index++) {
      await readBytes(storage, index * block, 100);
    }
    const last = await readBytes(storage, 39 * block, 100);
    expect(last).toEqual(contents.subarray(39 * block, 39 * block + 100));
  });

  it("can be read again shortly after, however much it was", async () => {
    await using storage = forwardStorage(new Pieces(), { memory: 16 * block });
    for (let at = 0; at < 40 * block; at += 4 * block) {
      await readBytes(storage, at, 4 * block);
      const again = Math.max(0, at - 4 * block);
      const found = await readBytes(storage, again, 8 * block);
      expect(Buffer.compare(found, contents.subarray(again, again + 8 * block))).toBe(0);
    }
  });

  it("is refused by name otherwise, and never wrong", async () => {
    await using storage = forwardStorage(new Pieces(), { label: "the stream", ...small });
    await readBytes(storage, 0, 4 * block);
    await expect(readBytes(storage, block, 10)).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      message: expect.stringMatching(/^the stream: .*the bytes at 0x10000 were read already/) as unknown,
    });
    await expect(readBytes(storage, block, 4 * block)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(readBytes(storage, 4 * block, block)).resolves.toEqual(contents.subarray(4 * block, 5 * block));
  });
});

describe("the end of a stream", () => {
  it("is known when it has come, and a table may end less than 4096 bytes behind it", async () => {
    await using storage = forwardStorage(new Pieces());
    const end = contents.length;
    const found = await readBytes(storage, end - 1, 4096);
    expect(found).toEqual(Uint8Array.from([contents[end - 1]!, ...new Uint8Array(4095)]));
    expect(storage.size).toBe(end);
    for (const [offset, length] of [
      [end - 1, 4097],
      [end, 1],
      [end + block, 5],
      [0, end + 4096],
    ] as const) {
      await expect(readBytes(storage, offset, length)).rejects.toMatchObject({
        code: "EIO",
        message: expect.stringContaining("may have been cut off") as unknown,
      });
    }
  });

  it("fails a read that waits for what is behind it", async () => {
    await using storage = forwardStorage(new Pieces(), small);
    const reads = [
      readBytes(storage, 40 * block, 5000),
      readBytes(storage, 50 * block, 1),
      readBytes(storage, 39 * block, 2 * block),
    ];
    const [near, far, across] = await Promise.allSettled(reads);
    expect(near).toMatchObject({ status: "rejected" });
    expect(far).toMatchObject({ status: "rejected", reason: { code: "ERR_IMG_LIMIT" } });
    expect(across).toMatchObject({ status: "rejected" });
  });

  it("reads as zero behind it when the length was declared", async () => {
    await using storage = forwardStorage(new Pieces(), { size: contents.length });
    const end = contents.length;
    expect(await readBytes(storage, end + 5, 10)).toEqual(new Uint8Array(10));
    expect(storage.usage().position).toBe(0);
    expect(await readBytes(storage, end - 1, 9000)).toEqual(
      Uint8Array.from([contents[end - 1]!, ...new Uint8Array(8999)]),
    );
  });

  it("is an error when it comes early, and what came before it isn't", async () => {
    await using storage = forwardStorage(new Pieces(), { size: contents.length + 1 });
    await expect(readBytes(storage, contents.length - 1, 2)).rejects.toMatchObject({
      code: "EIO",
      message: expect.stringContaining(`ended after 0x${contents.length.toString(16)} bytes`) as unknown,
    });
    expect(await readBytes(storage, contents.length - 2, 2)).toEqual(contents.subarray(-2));
    await expect(storage.drain()).rejects.toMatchObject({ code: "EIO" });
    await expect(storage.measure()).rejects.toMatchObject({ code: "EIO" });
  });

  it("is an error when it doesn't come where it was declared", async () => {
    const pieces = new Pieces();
    const storage = forwardStorage(pieces, { size: contents.length - 1 });
    await expect(readBytes(storage, contents.length - 3, 2)).rejects.toMatchObject({ code: "EIO" });
    await storage[Symbol.asyncDispose]();
    expect(pieces.returned).toBe(1);
  });

  it("can be asked for: everything is kept, and what is behind reads as zero", async () => {
    const spill = memorySpill();
    await using storage = forwardStorage(new Pieces(), { ...small, spill: spill.spill });
    expect(await storage.measure()).toBe(contents.length);
    expect(storage.size).toBe(contents.length);
    expect(await readBytes(storage, contents.length, 10)).toEqual(new Uint8Array(10));
    expect(Buffer.compare(await readBytes(storage, 0, contents.length), contents)).toBe(0);
    expect(await storage.measure()).toBe(contents.length);
    await using cramped = forwardStorage(new Pieces(), small);
    await expect(cramped.measure()).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
  });

  it("can be gone to without keeping anything", async () => {
    const pieces = new Pieces();
    await using storage = forwardStorage(pieces, small);
    await readBytes(storage, 0, 10);
    await storage.drain();
    await storage.drain();
    expect(pieces.given).toBe(contents.length);
    expect(storage.usage().memory).toBeLessThanOrEqual(2 * block);
  });

  it("is that of an empty one, too", async () => {
    await using storage = forwardStorage(chunks());
    await expect(readBytes(storage, 0, 1)).rejects.toMatchObject({ code: "EIO" });
    expect(await storage.measure()).toBe(0);
    expect(await readBytes(storage, 0, 1)).toEqual(new Uint8Array(1));
  });
});

describe("a source that fails", () => {
  it("fails what waits for it and all that comes later, with its error as the cause; what has passed is there", async () => {
    const cause = Object.assign(new Error("connection reset"), { code: "ECONNRESET" });
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield contents.subarray(0, 3 * block);
      throw cause;
    };
    await using storage = forwardStorage(source());
    await expect(readBytes(storage, 2 * block, 2 * block)).rejects.toMatchObject({ code: "ECONNRESET", cause });
    await expect(readBytes(storage, 4 * block, 1)).rejects.toMatchObject({ code: "ECONNRESET", cause });
    expect(Buffer.compare(await readBytes(storage, 0, 2 * block), contents.subarray(0, 2 * block))).toBe(0);
    await expect(storage.drain()).rejects.toSatisfy((error) => isImgError(error, "ECONNRESET"));
  });

  it("gives no text for bytes", async () => {
    await using storage = forwardStorage(Readable.from(["text"]), { label: "page" });
    await expect(readBytes(storage, 0, 1)).rejects.toMatchObject({
      code: "EIO",
      message: "page: expected bytes, found a value of type string",
    });
  });
});

describe("giving up", () => {
  it("fails reads that wait for a source which says nothing", async () => {
    const source = new Readable({ read: () => undefined });
    const storage = forwardStorage(source);
    const read = readBytes(storage, 0, 1);
    await turn();
    const closed = storage[Symbol.asyncDispose]();
    await expect(read).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await closed;
    expect(source.destroyed).toBe(true);
  });

  it("doesn't wait for a generator that says nothing", async () => {
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      await new Promise(() => undefined);
      yield contents;
    };
    const storage = forwardStorage(source());
    const read = readBytes(storage, 0, 1);
    await turn();
    await storage[Symbol.asyncDispose]();
    await expect(read).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });

  it("cancels a web stream", async () => {
    const cancelled = vi.fn();
    const storage = forwardStorage(new ReadableStream({ cancel: cancelled }));
    const read = readBytes(storage, 0, 1);
    await turn();
    await storage[Symbol.asyncDispose]();
    await expect(read).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    expect(cancelled).toHaveBeenCalledOnce();
  });

  it("follows a signal, also one that was aborted before", async () => {
    const controller = new AbortController();
    const source = new Readable({ read: () => undefined });
    await using storage = forwardStorage(source, { signal: controller.signal });
    const read = readBytes(storage, 0, 1);
    await turn();
    controller.abort(new Error("enough"));
    await expect(read).rejects.toMatchObject({ cause: { message: "enough" } });
    expect(source.destroyed).toBe(true);
    await using late = forwardStorage(new Pieces(), { signal: controller.signal });
    await expect(readBytes(late, 0, 1)).rejects.toMatchObject({ cause: { message: "enough" } });
  });
});
