import {
  isImgError,
  MemoryStorage,
  perform,
  runAsync,
  type FormatAccess,
  type ImgError,
  type Storage,
} from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { createSync, openSync, SyncFormatAccess } from "@img/sync";
import { AsyncStorage, FaultPlan, FaultStorage } from "@img/testing";
import { describe, expect, it } from "vitest";

const size = 1 << 20;

function bytes(length: number): Uint8Array {
  return new Uint8Array(length).fill(7);
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Every call of `SyncFormatAccess` that may have to wait. Those that say `alone` can't go on beside anything else. */
const calls: Readonly<Record<string, { readonly alone?: boolean; run(image: SyncFormatAccess): unknown }>> = {
  getShallowMapping: { run: (image) => image.getShallowMapping(0, size) },
  getMapping: { run: (image) => image.getMapping(0, size) },
  mappings: { run: (image) => [...image.mappings()] },
  planRead: { run: (image) => image.planRead(0, size) },
  read: { run: (image) => image.read(bytes(10), 0) },
  write: { run: (image) => image.write(bytes(10), 0) },
  writeCompressed: { run: (image) => image.writeCompressed(bytes(65536), 9 * 65536) },
  ensureDataMapping: { run: (image) => image.ensureDataMapping(0, 100) },
  writeZeroes: { run: (image) => image.writeZeroes(0, 10) },
  flush: { run: (image) => image.flush() },
  sync: { run: (image) => image.sync() },
  discardToZero: { alone: true, run: (image) => image.discardToZero(0, 65536) },
  discardToAny: { alone: true, run: (image) => image.discardToAny(0, 65536) },
  discardToBacking: { alone: true, run: (image) => image.discardToBacking(0, 65536) },
  resize: { alone: true, run: (image) => image.resize(size / 2) },
  resizeGrow: { run: (image) => image.resizeGrow(size * 2) },
  resizeShrink: { alone: true, run: (image) => image.resizeShrink(size / 2) },
  invalidateCache: { alone: true, run: (image) => image.invalidateCache() },
  close: { alone: true, run: (image) => image.close() },
};

/** An image that is in use by the asynchronous world, as somebody who has all of it to himself (`exclusive`), or who reads it. */
async function inUse(exclusive: boolean): Promise<{ image: SyncFormatAccess; release: () => Promise<void> }> {
  const access: FormatAccess = await qcow2.create(new MemoryStorage(), { size });
  await access.write(bytes(100), 0);
  await access.flush();
  if (!exclusive) {
    const lease = await access.lease();
    return { image: new SyncFormatAccess(access), release: async () => lease.release() };
  }
  let finish = (): void => undefined;
  const pause = new Promise<void>((resolve) => (finish = resolve));
  const holding = runAsync(access.io.exclusive(() => perform({ label: "the test", async: () => pause })));
  return {
    image: new SyncFormatAccess(access),
    release: () => {
      finish();
      return holding;
    },
  };
}

describe("while an asynchronous operation has the image to itself", () => {
  it.each(Object.keys(calls))("%s is busy instead of waiting for ever, and works afterwards", async (name) => {
    const { image, release } = await inUse(true);
    expect(
      isImgError(
        thrownBy(() => calls[name]?.run(image)),
        "ERR_IMG_BUSY",
      ),
    ).toBe(true);
    await release();
    expect(thrownBy(() => calls[name]?.run(image))).toBeUndefined();
  });
});

describe("while somebody holds a lease", () => {
  it.each(Object.keys(calls))("%s is busy exactly if it has to be alone", async (name) => {
    const { image, release } = await inUse(false);
    const thrown = thrownBy(() => calls[name]?.run(image));
    expect((thrown as ImgError | undefined)?.code).toBe(calls[name]?.alone === true ? "ERR_IMG_BUSY" : undefined);
    await release();
    expect(thrownBy(() => calls[name]?.run(image))).toBeUndefined();
  });
});

describe("a storage that can't answer at once", () => {
  it.each(Object.keys(calls))("is named by %s", async (name) => {
    const memory = new MemoryStorage();
    const made = createSync(qcow2, memory, { size });
    made.write(bytes(100), 0);
    made.close();
    const contents = new MemoryStorage(memory.toUint8Array(), { label: "the slow one" });
    const access: FormatAccess = await qcow2.open(new AsyncStorage(contents), { writable: true });
    const image = new SyncFormatAccess(access);
    // what was read is in memory; nothing is at first
    await access.invalidateCache();
    const thrown = thrownBy(() => {
      calls[name]?.run(image);
      image.flush();
      image.sync();
    }) as ImgError;
    expect(thrown).toMatchObject({ code: "ERR_IMG_ASYNC_ONLY", subject: "the slow one" });
    expect(thrown.message).toContain("the slow one");
  });
});

describe("the end of a block", () => {
  /** A storage whose methods fail from the moment on that something is added to the plan. */
  function fragile(): { readonly storage: Storage; readonly memory: MemoryStorage; readonly plan: FaultPlan } {
    const memory = new MemoryStorage();
    const plan = new FaultPlan();
    return { memory, plan, storage: new FaultStorage(memory, plan) };
  }

  it.each(["write", "flush", "sync"] as const)("throws when %s fails, with `using`, and closes all the same", (on) => {
    const { storage, memory, plan } = fragile();
    let image: SyncFormatAccess | undefined;
    const thrown = thrownBy(() => {
      using opened = createSync(qcow2, storage, { size });
      image = opened;
      opened.write(bytes(100), 0);
      plan.add({ on });
    });
    expect(isImgError(thrown, "EIO")).toBe(true);
    expect(
      isImgError(
        thrownBy(() => image?.read(bytes(1), 0)),
        "ERR_IMG_CLOSED",
      ),
    ).toBe(true);
    expect(
      isImgError(
        thrownBy(() => memory.flushSync()),
        "ERR_IMG_CLOSED",
      ),
    ).toBe(true);
  });

  it.each(["write", "flush", "sync"] as const)(
    "rejects when %s fails, with `await using`, and closes all the same",
    async (on) => {
      const { storage, memory, plan } = fragile();
      const block = async (): Promise<void> => {
        await using opened = await qcow2.create(storage, { size });
        await opened.write(bytes(100), 0);
        plan.add({ on });
      };
      await expect(block()).rejects.toMatchObject({ code: "EIO" });
      expect(
        isImgError(
          thrownBy(() => memory.flushSync()),
          "ERR_IMG_CLOSED",
        ),
      ).toBe(true);
    },
  );

  it("keeps what was written, in both worlds", async () => {
    const memories = [new MemoryStorage(), new MemoryStorage()] as const;
    {
      using image = createSync(qcow2, memories[0], { size });
      image.write(bytes(100), 5000);
    }
    {
      await using image = await qcow2.create(memories[1], { size });
      await image.write(bytes(100), 5000);
    }
    expect(Buffer.compare(memories[0].toUint8Array(), memories[1].toUint8Array())).toBe(0);
    using again = openSync(qcow2, new MemoryStorage(memories[0].toUint8Array()));
    const read = new Uint8Array(100);
    again.read(read, 5000);
    expect(read).toEqual(bytes(100));
  });
});
