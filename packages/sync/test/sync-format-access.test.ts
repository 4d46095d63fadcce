import { defineFormat, hostOffset, isImgError, MemoryStorage, type FormatDriver, type Storage } from "@img/format-core";
import { AsyncStorage } from "@img/testing";
import { expect, it } from "vitest";
import { createSync, openSync, SyncFormatAccess } from "../src/index.ts";

/** The smallest format there is: the disk is the storage. */
class PlainDriver implements FormatDriver {
  readonly format = "plain";
  readonly writable = true;
  readonly storages: readonly Storage[];
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.storages = [storage];
  }

  get size(): number {
    return this.#storage.size;
  }

  *getMapping(offset: number, maxLength: number): ReturnType<FormatDriver["getMapping"]> {
    const length = Math.min(maxLength, this.size - offset);
    return length > 0
      ? { kind: "raw", storage: this.#storage, offset: hostOffset(offset), length, writable: true }
      : { kind: "eof", length: 0 };
  }

  *prepareWrite(offset: number, length: number): ReturnType<NonNullable<FormatDriver["prepareWrite"]>> {
    const done = (): void => undefined;
    return { storage: this.#storage, offset: hostOffset(offset), length, commit: done, abort: done };
  }

  *flush(): ReturnType<FormatDriver["flush"]> {
    // nothing is buffered
  }

  *sync(): ReturnType<FormatDriver["sync"]> {
    // memory is as durable as it gets
  }

  *close(): ReturnType<FormatDriver["close"]> {
    // the storage is the test's
  }

  toString(): string {
    return `plain[${this.#storage.label}]`;
  }
}

const plain = defineFormat({
  name: "plain",
  extensions: [],
  probeLength: 0,
  probe: () => 1,
  *open(storage: Storage) {
    return new PlainDriver(storage);
  },
  *create(storage: Storage) {
    return new PlainDriver(storage);
  },
});

it("reads and writes at once what its storage answers at once", () => {
  const image = createSync(plain, new MemoryStorage(new Uint8Array(1000)), {});
  image.write(Uint8Array.of(1, 2, 3), 500);
  const read = new Uint8Array(5);
  image.read(read, 499);
  expect([...read]).toEqual([0, 1, 2, 3, 0]);
  expect([...image.mappings()].map(({ kind, length }) => [kind, length])).toEqual([["raw", 1000]]);
});

it("names the storage that can't answer at once", () => {
  const image = openSync(plain, new AsyncStorage(new MemoryStorage(new Uint8Array(10), { label: "the slow one" })));
  expect(() => {
    image.read(new Uint8Array(1), 0);
  }).toThrow("the slow one has no synchronous interface");
});

it("is busy instead of waiting for an asynchronous operation that can't end meanwhile", async () => {
  const image = openSync(plain, new MemoryStorage(new Uint8Array(10)));
  const lease = await image.inner.lease();
  let thrown: unknown;
  try {
    image.close();
  } catch (error) {
    thrown = error;
  }
  expect(isImgError(thrown, "ERR_IMG_BUSY")).toBe(true);
  lease.release();
  image.close();
  expect(new SyncFormatAccess(image.inner).inner).toBe(image.inner);
});
