import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import {
  FormatAccess,
  fromAsyncDriver,
  hostOffset,
  MemoryStorage,
  runSync,
  type AsyncFormatDriver,
  type GuestOffset,
  type PreparedWrite,
  type ShallowMapping,
  type Storage,
} from "../src/index.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";

/** A disk that lies behind a header of 100 bytes, written as a plain class with async methods and private members. */
class PlainDriver implements AsyncFormatDriver {
  readonly format = "plain";
  readonly writable = true;
  readonly storages: readonly Storage[];
  readonly #storage: MemoryStorage;
  #commits = 0;

  constructor(storage: MemoryStorage) {
    this.#storage = storage;
    this.storages = [storage];
  }

  get size(): number {
    return this.#storage.size - 100;
  }

  get commits(): number {
    return this.#commits;
  }

  async getMapping(offset: GuestOffset, _maxLength: number): Promise<ShallowMapping> {
    const length = this.size - offset;
    if (length <= 0) return { kind: "eof", length: 0 };
    if (offset < 10) return { kind: "special", offset, length: 10 - offset, compressed: false };
    return { kind: "raw", storage: this.#storage, offset: hostOffset(offset + 100), length, writable: true };
  }

  async readSpecial(into: IoVector, offset: GuestOffset): Promise<void> {
    this.#storage.read(into, offset + 100);
  }

  async prepareWrite(offset: GuestOffset, length: number): Promise<PreparedWrite> {
    return {
      storage: this.#storage,
      offset: hostOffset(offset + 100),
      length,
      commit: () => {
        this.#commits++;
      },
      abort: () => undefined,
    };
  }

  async resizeGrow(size: number): Promise<void> {
    this.#storage.resize?.(size + 100);
  }

  async flush(): Promise<void> {
    await Promise.resolve();
  }

  sync(): void {
    // may also answer at once
  }

  async close(): Promise<void> {
    await this.#storage[Symbol.asyncDispose]();
  }

  toString(): string {
    return `plain[${this.#storage.label}]`;
  }
}

describe("fromAsyncDriver", () => {
  it("makes an image of a driver with plain async methods", async () => {
    const storage = new MemoryStorage(pattern(1100));
    const plain = new PlainDriver(storage);
    const image = new FormatAccess(fromAsyncDriver(plain));
    const buffer = new Uint8Array(200);
    await image.read(buffer, 5);
    expectBytes(buffer, pattern(1100).subarray(105, 305));
    await image.write(Uint8Array.of(1, 2, 3), 500);
    await image.writeZeroes(600, 10);
    const expected = pattern(1100);
    expected.set([1, 2, 3], 600);
    expected.fill(0, 700, 710);
    expectBytes(storage.toUint8Array(), expected);
    expect(plain.commits).toBe(2);
    await image.resize(2000);
    expect([image.size, String(image)]).toEqual([2000, "plain[memory]"]);
    expect(image.driver.async).toBe(plain);
    await image.close();
    expect(() => storage.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
  });

  it("can what the driver can, and nothing else", async () => {
    const driver = fromAsyncDriver(new PlainDriver(new MemoryStorage(pattern(200))));
    expect([driver.prepareWrite, driver.discardToZero, driver.peekMapping, "discardToZero" in driver, "prepareWrite" in driver].map((each) => typeof each === "boolean" ? each : typeof each)).toEqual(["function", "undefined", "undefined", false, true]); // prettier-ignore
    await expect(new FormatAccess(driver).discardToBacking(0, 1)).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    await expect(new FormatAccess(driver).resizeShrink(1)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });

  it("shows a driver that nobody can change", async () => {
    const storage = new MemoryStorage(pattern(200));
    const image = new FormatAccess(
      fromAsyncDriver(
        Object.freeze({
          format: "frozen",
          size: 200,
          writable: false,
          storages: [storage],
          getMapping: async (offset: number) =>
            ({ kind: "raw", storage, offset: hostOffset(offset), length: 200 - offset, writable: false }) as const,
          flush: () => undefined,
          sync: () => undefined,
          close: () => undefined,
          toString: () => "frozen",
        }),
      ),
    );
    const buffer = new Uint8Array(200);
    await image.read(buffer, 0);
    expectBytes(buffer, pattern(200));
    expect([String(image), "getMapping" in image.driver]).toEqual(["frozen", true]);
    await image.close();
  });

  it("is refused by name in the synchronous world", () => {
    const image = new FormatAccess(fromAsyncDriver(new PlainDriver(new MemoryStorage(pattern(200)))));
    for (const io of [
      image.io.read(IoVector.single(new Uint8Array(1)), 0),
      image.io.write(IoVector.single(new Uint8Array(1)), 0),
      image.io.getMapping(0, 1),
      image.io.flush(),
      image.io.close(),
    ]) {
      expect(() => runSync<unknown>(io)).toThrow(
        expect.objectContaining({
          code: "ERR_IMG_ASYNC_ONLY",
          message: "plain[memory] has no synchronous interface",
          subject: "plain[memory]",
        }),
      );
    }
  });
});
