import {
  InterceptingStorage,
  MemoryStorage,
  perform,
  runAsync,
  type MaybePromise,
  type StorageCall,
} from "@img/format-core";
import { describe, expect, it } from "vitest";
import { MetadataCaches } from "../src/write/metadata-caches.ts";
import { ResidentTable } from "../src/write/resident-table.ts";

/** Answers each sync when it is told to; notes what is done in which order. */
class HeldStorage extends InterceptingStorage<MemoryStorage> {
  readonly done: string[] = [];
  readonly #held: (() => void)[] = [];

  /** Answers the oldest sync. */
  release(): void {
    this.#held.shift()?.();
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    return call.method === "sync" ? this.#hold(proceed) : this.#note(call.method, proceed);
  }

  async #hold<T>(proceed: () => MaybePromise<T>): Promise<T> {
    await new Promise<void>((resolve) => this.#held.push(resolve));
    return await this.#note("sync", proceed);
  }

  #note<T>(what: string, proceed: () => MaybePromise<T>): MaybePromise<T> {
    this.done.push(what);
    return proceed();
  }
}

function cachesOn(storage: HeldStorage): MetadataCaches {
  const table = (offset: number): ResidentTable => new ResidentTable(storage, offset, new Uint8Array(4096));
  return new MetadataCaches({
    storage,
    data: storage,
    sliceLength: 4096,
    l2CacheSize: 65536,
    refcountCacheSize: 65536,
    l1: table(0),
    refcountTable: table(4096),
    lazyRefcounts: false,
  });
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe("the order in which metadata reaches the disk", () => {
  it("has a second barrier wait for the refcount table's entries that a first one is writing", async () => {
    const storage = new HeldStorage(new MemoryStorage(new Uint8Array(65536)));
    const caches = cachesOn(storage);
    caches.refcountTable.set(3, 0, 0x10000);
    caches.noteWrite();
    const passed: string[] = [];
    const barrier = async (name: string): Promise<void> => {
      await runAsync(caches.barrier());
      passed.push(name);
    };
    const both = [barrier("first"), barrier("second")];
    await soon();
    expect(caches.isDirty).toBe(true);
    expect([storage.done, passed]).toEqual([[], []]);
    // what the entry points at is durable: the entry is written, and isn't durable before the next sync
    storage.release();
    await soon();
    expect([storage.done, passed]).toEqual([["sync", "write"], []]);
    storage.release();
    storage.release();
    await Promise.all(both);
    expect(storage.done.slice(0, 3)).toEqual(["sync", "write", "sync"]);
    expect(caches.isDirty).toBe(false);
  });

  it("writes a sector's versions one after the other", async () => {
    const storage = new HeldStorage(new MemoryStorage(new Uint8Array(65536)));
    const { l1 } = cachesOn(storage);
    const held: (() => void)[] = [];
    const write = (): Promise<void> =>
      runAsync(
        l1.write(() =>
          perform({ label: "a barrier", async: async () => new Promise<void>((resolve) => held.push(resolve)) }),
        ),
      );
    l1.set(0, 0, 1);
    const first = write();
    l1.set(0, 0, 2);
    const second = write();
    await soon();
    expect(held).toHaveLength(1);
    held[0]?.();
    await first;
    expect(storage.inner.toUint8Array()[7]).toBe(1);
    await soon();
    held[1]?.();
    await second;
    expect(storage.inner.toUint8Array()[7]).toBe(2);
  });
});
