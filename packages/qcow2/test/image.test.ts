import {
  guestOffset,
  MemoryStorage,
  StorageDecorator,
  type FormatAccess,
  type MaybePromise,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes, CountingStorage, DelayStorage, FaultStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { extensionTypes, qcow2, type Qcow2Image } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { text } from "./support/extension-bytes.ts";
import { ImageBuilder, type ImageKind } from "./support/image-builder.ts";
import { openBuilt, readDisk } from "./support/open-built.ts";
import { snapshotBytes, snapshotExtra } from "./support/snapshot-bytes.ts";
import { bothWorlds } from "./support/worlds.ts";

const size = 64 * 512;
const some = new SeededRandom(1).bytes(512);

/** Overwrites what a storage holds. */
async function replace(storage: Storage, contents: Uint8Array): Promise<void> {
  await storage.resize?.(0);
  await storage.write(IoVector.single(contents), 0);
}

describe.each(bothWorlds)("an open image ($name)", (world) => {
  describe("tells what qemu-img tells", () => {
    async function describeBuilt(built: ImageBuilder): Promise<ReturnType<Qcow2Image["describe"]>> {
      const image = await openBuilt(world, built, { backing: null });
      return image.driver.describe();
    }

    /** What is specific to the format, in its order. */
    const specific = async (built: ImageBuilder): Promise<string> =>
      JSON.stringify((await describeBuilt(built)).specific);

    it("of version 3", async () => {
      expect(await describeBuilt(new ImageBuilder({ size: 65536 + 100, clusterBits: 16 }))).toEqual({
        format: "qcow2",
        virtualSize: 65536,
        clusterSize: 65536,
        dirty: false,
        specific: { type: "qcow2", data: expect.anything() as unknown },
      });
      expect(await specific(new ImageBuilder({ size }))).toBe(
        '{"type":"qcow2","data":{"compat":"1.1","compression-type":"zlib","lazy-refcounts":false,' +
          '"refcount-bits":16,"corrupt":false,"extended-l2":false}}',
      );
    });

    it("of version 2", async () => {
      expect(await specific(new ImageBuilder({ size, version: 2 }))).toBe(
        '{"type":"qcow2","data":{"compat":"0.10","compression-type":"zlib","refcount-bits":16}}',
      );
    });

    it("of features", async () => {
      const built = new ImageBuilder({ size, zstd: true, extendedL2: true, refcountOrder: 0 });
      built.fields = { compatibleFeatures: 1, incompatibleFeatures: 0b11011 };
      expect(await specific(built)).toBe(
        '{"type":"qcow2","data":{"compat":"1.1","compression-type":"zstd","lazy-refcounts":true,' +
          '"refcount-bits":1,"corrupt":true,"extended-l2":true}}',
      );
      expect((await describeBuilt(built)).dirty).toBe(true);
    });

    it("of external data files", async () => {
      const built = new ImageBuilder({ size, externalDataFile: true });
      expect(await specific(built)).toContain('"refcount-bits":16,"data-file-raw":false,"corrupt"');
      built.extensions = [{ type: extensionTypes.dataFile, data: text("disk.raw") }];
      built.fields = { autoclearFeatures: 2 };
      expect(await specific(built)).toContain(
        '"refcount-bits":16,"data-file":"disk.raw","data-file-raw":true,"corrupt"',
      );
      expect((await describeBuilt(built)).dataFile).toEqual({ name: "disk.raw", format: "raw" });
    });

    it("of a data file's name only where there is a data file", async () => {
      const built = new ImageBuilder({ size });
      built.extensions = [{ type: extensionTypes.dataFile, data: text("disk.raw") }];
      expect(await describeBuilt(built)).not.toHaveProperty("dataFile");
    });

    it("of backing images", async () => {
      const built = new ImageBuilder({ size });
      built.extensions = [{ type: extensionTypes.backingFormat, data: text("raw") }];
      // a format alone names nothing
      expect(await describeBuilt(built)).not.toHaveProperty("backing");
      const { driver } = await openBuilt(world, built);
      expect([driver.implicitBackingFile(), driver.implicitBackingFormat()]).toEqual([undefined, undefined]);
      expect(driver.describe().specific!.data).not.toHaveProperty("encrypt");
      built.backingName = "base.raw";
      expect((await describeBuilt(built)).backing).toEqual({ name: "base.raw", format: "raw" });
      built.extensions = [];
      expect((await describeBuilt(built)).backing).toEqual({ name: "base.raw" });
    });

    it("of snapshots", async () => {
      const built = new ImageBuilder({ size });
      built.snapshot({ id: "1", name: "first", diskSize: 1024 });
      expect((await describeBuilt(built)).snapshots).toEqual([
        {
          id: "1",
          name: "first",
          vmStateSize: 0,
          dateSeconds: 0,
          dateNanoseconds: 0,
          vmClockSeconds: 0,
          vmClockNanoseconds: 0,
          diskSize: 1024,
        },
      ]);
    });

    it("of snapshots with a machine's state, and of those that record nothing of it", async () => {
      const built = new ImageBuilder({ size, version: 2 });
      const place = { l1TableOffset: built.l1Offset, l1Size: built.l1Size, id: "1", name: "x" };
      built.rawSnapshot(snapshotBytes({ ...place, dateSeconds: 12, dateNanoseconds: 34, vmClock: 3_000_000_007n }));
      built.rawSnapshot(snapshotBytes({ ...place, extra: snapshotExtra(77, 512, 99n) }));
      const shared = {
        id: "1",
        name: "x",
        vmClockSeconds: 0,
        vmClockNanoseconds: 0,
        dateSeconds: 0,
        dateNanoseconds: 0,
      };
      const [first, second] = (await describeBuilt(built)).snapshots!;
      expect(JSON.stringify(first)).not.toContain("diskSize");
      expect(first).toEqual({
        ...shared,
        vmStateSize: 0,
        dateSeconds: 12,
        dateNanoseconds: 34,
        vmClockSeconds: 3,
        vmClockNanoseconds: 7,
      });
      expect(Object.keys(first!)).not.toContain("icount");
      expect(second).toEqual({ ...shared, vmStateSize: 77, diskSize: 512, icount: 99 });
    });

    it("by its label", async () => {
      const image = await openBuilt(world, new ImageBuilder({ size }));
      expect(String(image)).toBe("qcow2[memory]");
      expect(image.driver.format).toBe("qcow2");
    });
  });

  it("gives its header and all its extensions, also those that aren't known", async () => {
    const built = new ImageBuilder({ size });
    built.extensions = [
      { type: 0xabcd_ef01, data: text("unknown") },
      { type: extensionTypes.backingFormat, data: text("raw") },
    ];
    const { driver } = await openBuilt(world, built);
    expect(driver.extensions.map(({ type, data }) => [type, new TextDecoder().decode(data)])).toEqual([
      [0xabcd_ef01, "unknown"],
      [extensionTypes.backingFormat, "raw"],
    ]);
    expect(driver.header).toMatchObject({ version: 3, clusterBits: 9, size, l1Size: 1 });
    expect(driver.info).toMatchObject({ version: 3, clusterSize: 512, virtualSize: size, refcountBits: 16 });
  });

  it.each([
    ["dirty", 1],
    ["corrupt", 2],
    ["dirty and corrupt", 3],
  ])("may be %s: it is read as it is", async (_what, incompatibleFeatures) => {
    const built = new ImageBuilder({ size });
    built.data(512, some);
    built.fields = { incompatibleFeatures };
    const image = await openBuilt(world, built);
    assertBytes(await readDisk(world, image, 512, 512), some, "a cluster");
    expect(image.driver.info).toMatchObject({
      dirty: (incompatibleFeatures & 1) !== 0,
      corrupt: (incompatibleFeatures & 2) !== 0,
    });
  });

  it("refuses to be written when it was opened to be read", async () => {
    const image = await openBuilt(world, new ImageBuilder({ size }));
    expect(image.writable).toBe(false);
    const bytes = IoVector.single(new Uint8Array(512));
    const writes = [
      () => world.run(image.io.write(bytes, 0)),
      () => world.run(image.io.writeZeroes(0, 512)),
      () => world.run(image.io.discardToZero(0, 512)),
      () => world.run(image.io.discardToAny(0, 512)),
      () => world.run(image.io.resize(0, "none")),
      () => world.run(image.driver.prepareWrite(guestOffset(0), 512, { overwrite: true })),
    ];
    for (const write of writes) {
      await expectImgError("ERR_IMG_READ_ONLY", "is read-only", write);
    }
  });

  it("never writes to its storage, nor syncs it, when it is read and closed", async () => {
    const built = new ImageBuilder({ size });
    built.data(0, some);
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(built.build())));
    const image = await world.run(qcow2.openIo(storage));
    await readDisk(world, image);
    await world.run(image.io.close());
    const others = ["write", "writeZeroes", "discard", "resize", "flush", "sync"] as const;
    expect(storage.calls(...others)).toBe(0);
    expect(storage.calls("close")).toBe(1);
  });

  it("passes flush and sync on to a storage that can be written", async () => {
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(new ImageBuilder({ size }).build())));
    const image = await world.run(qcow2.openIo(storage));
    await world.run(image.io.flush());
    await world.run(image.io.sync());
    expect([storage.calls("flush"), storage.calls("sync")]).toEqual([1, 1]);
    const contents = new MemoryStorage(new ImageBuilder({ size }).build(), { writable: false });
    const fixed = new CountingStorage<Storage>(world.storage(contents));
    const readOnly = await world.run(qcow2.openIo(fixed));
    await world.run(readOnly.io.flush());
    await world.run(readOnly.io.sync());
    expect(fixed.calls("flush", "sync")).toBe(0);
  });

  it("is closed as a whole even if one storage can't be", async () => {
    const built = new ImageBuilder({ size, externalDataFile: true });
    const fault = { on: "close", error: "EIO", when: "after" } as const;
    const storage = new FaultStorage(world.storage(new MemoryStorage(built.build())), [fault]);
    const dataFile = new CountingStorage(
      new FaultStorage(world.storage(new MemoryStorage(built.dataFile)), [{ ...fault, error: "ENOSPC" }]),
    );
    const image = await world.run(qcow2.openIo(storage, { dataFile }));
    await expectImgError("EIO", "cannot close", () => world.run(image.io.close()));
    expect(dataFile.calls("close")).toBe(1);
    await expectImgError("ERR_IMG_CLOSED", "is closed", () => readDisk(world, image, 0, 1));
  });

  describe("says of a cluster", () => {
    const look = (image: FormatAccess<Qcow2Image>, offset: number): Promise<unknown> =>
      world.run(image.driver.getClusterMapping(guestOffset(offset)));

    it("what its tables say", async () => {
      const built = new ImageBuilder({ size: 2 * size });
      const data = built.data(0, some);
      const kept = built.zero(512, true);
      built.zero(1024);
      const shared = built.data(1536, some);
      built.poke64(built.entryOffset(1536), shared);
      const image = await openBuilt(world, built);
      const nothing = { clusterOffset: undefined, compressedLength: undefined, copied: false };
      const found = { compressedLength: undefined, copied: true };
      expect(await look(image, 5)).toEqual({ source: "data", clusterOffset: data + 5, length: 507, ...found });
      expect(await look(image, 512)).toEqual({ source: "zero", clusterOffset: kept, length: 512, ...found });
      expect(await look(image, 1024)).toEqual({ source: "zero", length: 512, ...nothing });
      expect(await look(image, 1536)).toMatchObject({ source: "data", clusterOffset: shared, copied: false });
      expect(await look(image, 2050)).toEqual({ source: "unallocated", length: 510, ...nothing });
      // no L2 table at all
      expect(await look(image, size + 1)).toEqual({ source: "unallocated", length: 511, ...nothing });
      const above = await openBuilt(world, built, { backing: image });
      expect(await look(above, 2048)).toMatchObject({ source: "backing" });
      expect(await look(above, size)).toMatchObject({ source: "backing" });
      expect(await look(above, 1024)).toMatchObject({ source: "zero" });
    });

    it("what its subclusters are", async () => {
      const built = new ImageBuilder({ size: 16384, extendedL2: true });
      const host = built.subclusters(0, 0b100, 0b011, new Uint8Array(16384));
      const image = await openBuilt(world, built);
      expect(await look(image, 100)).toMatchObject({ source: "data", clusterOffset: host + 100, length: 924 });
      expect(await look(image, 1024)).toMatchObject({ source: "zero", clusterOffset: host + 1024, length: 512 });
      expect(await look(image, 1536)).toMatchObject({ source: "unallocated", clusterOffset: host + 1536 });
    });

    it("that there is none past the disk's end", async () => {
      const image = await openBuilt(world, new ImageBuilder({ size }));
      await expectImgError("ERR_IMG_OUT_OF_RANGE", `guest offset ${size}: the disk has ${size} bytes`, () =>
        look(image, size),
      );
    });
  });

  describe("has sparse data", () => {
    /** An image of so many clusters, all of them in use, of which the host says that it has so many bytes. */
    async function isSparse(clusters: number, allocated: number | undefined): Promise<boolean> {
      const built = new ImageBuilder({ size });
      // the refcount block is the last cluster
      built.allocate((clusters - 1) * 512 - built.length);
      const bytes = built.build();
      expect(bytes.length).toBe(clusters * 512);
      const storage = new AllocatedStorage(world.storage(new MemoryStorage(bytes)), allocated);
      const image = await world.run(qcow2.openIo(storage));
      return world.run(image.driver.hasSparseData());
    }

    it("when a tenth more clusters are counted than the host has", async () => {
      expect(await isSparse(40, 36 * 512)).toBe(true);
      expect(await isSparse(40, 36 * 512 + 511)).toBe(true);
      expect(await isSparse(40, 37 * 512)).toBe(false);
      expect(await isSparse(40, 40 * 512)).toBe(false);
    });

    it("when at least two more are counted in a small image", async () => {
      expect(await isSparse(10, 8 * 512)).toBe(true);
      expect(await isSparse(10, 8 * 512 + 511)).toBe(true);
      expect(await isSparse(10, 9 * 512)).toBe(false);
      expect(await isSparse(10, 0)).toBe(true);
    });

    it("never where the host doesn't tell", async () => {
      expect(await isSparse(10, undefined)).toBe(false);
    });

    it("or not: that is found out once", async () => {
      const storage = new CountingStorage<Storage>(
        world.storage(new MemoryStorage(new ImageBuilder({ size }).build())),
      );
      const image = await world.run(qcow2.openIo(storage));
      expect(image.driver.refcountBlockCacheIsEmpty).toBe(true);
      const first = await world.run(image.driver.hasSparseData());
      expect(image.driver.refcountBlockCacheIsEmpty).toBe(false);
      storage.reset();
      expect(await world.run(image.driver.hasSparseData())).toBe(first);
      expect(storage.calls()).toBe(0);
      image.driver.shrinkCaches();
      expect(image.driver.refcountBlockCacheIsEmpty).toBe(true);
    });
  });

  describe("that somebody else changed", () => {
    async function opened(kind: ImageKind): Promise<{
      readonly storage: MemoryStorage;
      readonly image: FormatAccess<Qcow2Image>;
      readonly built: ImageBuilder;
    }> {
      const built = new ImageBuilder(kind);
      built.data(0, some);
      const storage = new MemoryStorage(built.build());
      const image = await world.run(qcow2.openIo(world.storage(storage)));
      await readDisk(world, image);
      return { storage, image, built };
    }

    const invalidate = (image: FormatAccess<Qcow2Image>): Promise<void> => world.run(image.io.invalidateCache(false));

    it("is read anew once it is told, with its new size and tables", async () => {
      const { storage, image, built } = await opened({ size });
      const other = new SeededRandom(2).bytes(512);
      built.data(512, other);
      built.data(1024, other);
      built.snapshot({ id: "1", name: "new" });
      built.fields = { size: size - 512 };
      await replace(storage, built.build());
      // nobody told
      assertBytes(await readDisk(world, image, 512, 512), new Uint8Array(512), "what was kept");
      expect(image.size).toBe(size);
      await invalidate(image);
      assertBytes(await readDisk(world, image, 512, 512), other, "what is there now");
      expect(image.size).toBe(size - 512);
      expect(image.driver.info).toMatchObject({ virtualSize: size - 512, snapshots: [{ name: "new" }] });
      expect(image.driver.header.snapshotCount).toBe(1);
    });

    it("may have become dirty or clean", async () => {
      const { storage, image, built } = await opened({ size });
      built.fields = { incompatibleFeatures: 1 };
      await replace(storage, built.build());
      await invalidate(image);
      expect(image.driver.info.dirty).toBe(true);
    });

    it("is told of how far it is sparse anew", async () => {
      const built = new ImageBuilder({ size });
      built.allocate(20 * 512);
      const inner = new AllocatedStorage(new MemoryStorage(built.build()), 0);
      const image = await world.run(qcow2.openIo(world.storage(inner)));
      expect(await world.run(image.driver.hasSparseData())).toBe(true);
      inner.allocated = 100 * 512;
      expect(await world.run(image.driver.hasSparseData())).toBe(true);
      await invalidate(image);
      expect(await world.run(image.driver.hasSparseData())).toBe(false);
    });

    const others: readonly (readonly [string, (built: ImageBuilder) => Uint8Array])[] = [
      ["version", () => new ImageBuilder({ size, version: 2 }).build()],
      ["clusterBits", () => new ImageBuilder({ size, clusterBits: 10 }).build()],
      ["refcountOrder", () => new ImageBuilder({ size, refcountOrder: 3 }).build()],
      ["compressionType", () => new ImageBuilder({ size, zstd: true }).build()],
      ["cryptMethod", (built) => withFields(built, { cryptMethod: 1 })],
      ["external data file bit", (built) => withFields(built, { incompatibleFeatures: 4 })],
    ];

    it.each(others)("is refused when it isn't the same image any more: %s", async (what, other) => {
      const { storage, image, built } = await opened({ size });
      const before = built.build();
      await replace(storage, other(built));
      await expectImgError("ERR_IMG_UNSUPPORTED", `the image changed its ${what}`, () => invalidate(image));
      // once it is what it was, it can be read again
      await replace(storage, before);
      await invalidate(image);
      assertBytes(await readDisk(world, image, 0, 512), some, "a cluster");
    });

    it("is refused when its L2 entries have become extended ones", async () => {
      const { storage, image, built } = await opened({ size, clusterBits: 14 });
      await replace(storage, withFields(built, { incompatibleFeatures: 16 }));
      await expectImgError("ERR_IMG_UNSUPPORTED", "the image changed its extended L2 entries", () => invalidate(image));
    });

    it("is refused when another backing image is named, also with a name as long", async () => {
      const built = new ImageBuilder({ size });
      built.backingName = "base-1";
      const storage = new MemoryStorage(built.build());
      const image = await world.run(qcow2.openIo(world.storage(storage), { backing: null }));
      built.backingName = "base-2";
      await replace(storage, built.build());
      await expectImgError("ERR_IMG_UNSUPPORTED", 'the image changed its backing file from "base-1" to "base-2"', () =>
        invalidate(image),
      );
    });

    it("is refused when another backing format is recorded, or none", async () => {
      const built = new ImageBuilder({ size });
      built.backingName = "base";
      const recorded = (...data: readonly Uint8Array[]): Uint8Array => {
        built.extensions = [
          { type: data.length === 0 ? 1 : extensionTypes.backingFormat, data: data[0] ?? text("raw") },
        ];
        return built.build();
      };
      const storage = new MemoryStorage(recorded(text("raw")));
      const image = await world.run(qcow2.openIo(world.storage(storage), { backing: null }));
      await replace(storage, recorded(text("vdi")));
      await expectImgError("ERR_IMG_UNSUPPORTED", 'changed its backing format from "raw" to "vdi"', () =>
        invalidate(image),
      );
      await replace(storage, recorded());
      await expectImgError("ERR_IMG_UNSUPPORTED", 'changed its backing format from "raw" to none', () =>
        invalidate(image),
      );
    });

    it("is refused when another data file is named", async () => {
      const built = new ImageBuilder({ size, externalDataFile: true });
      const named = (name: string): Uint8Array => {
        built.extensions = [{ type: extensionTypes.dataFile, data: text(name) }];
        return built.build();
      };
      const storage = new MemoryStorage(named("one.raw"));
      const dataFile = world.storage(new MemoryStorage(built.dataFile));
      const image = await world.run(qcow2.openIo(world.storage(storage), { dataFile }));
      await replace(storage, named("two.raw"));
      await expectImgError("ERR_IMG_UNSUPPORTED", 'the image changed its data file from "one.raw" to "two.raw"', () =>
        invalidate(image),
      );
    });

    it("shows the same snapshot, wherever its table is now, or refuses when it is gone", async () => {
      const built = new ImageBuilder({ size });
      const old = built.data(0, some);
      built.snapshot({ id: "7", name: "kept" });
      built.data(0, new Uint8Array(512));
      const first = built.build();
      const storage = new MemoryStorage(first);
      const image = await world.run(qcow2.openIo(world.storage(storage), { snapshot: "kept" }));
      assertBytes(await readDisk(world, image, 0, 512), some, "the snapshot");
      // the same snapshot, its tables elsewhere: built anew behind other data
      const again = new ImageBuilder({ size });
      again.allocate(10 * 512);
      expect(again.data(0, some)).not.toBe(old);
      again.snapshot({ id: "6", name: "another" });
      again.snapshot({ id: "7", name: "kept" });
      again.data(0, new Uint8Array(512));
      await replace(storage, again.build());
      await invalidate(image);
      assertBytes(await readDisk(world, image, 0, 512), some, "the snapshot");
      await replace(storage, new ImageBuilder({ size }).build());
      await expectImgError("ERR_IMG_OUT_OF_RANGE", "there is no snapshot", () => invalidate(image));
    });

    it("tells its storage to forget as well", async () => {
      const built = new ImageBuilder({ size });
      const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(built.build())));
      const image = await world.run(qcow2.openIo(storage));
      await invalidate(image);
      expect(storage.calls("invalidate")).toBe(1);
    });
  });
});

describe("an image over a storage without a synchronous facet", () => {
  it("is refused in the synchronous world by its name, and read in the other one", async () => {
    const [asynchronous, synchronous] = bothWorlds;
    const built = new ImageBuilder({ size });
    built.data(0, some);
    const storage = new DelayStorage(new MemoryStorage(built.build(), { label: "far away" }));
    const error = await expectImgError("ERR_IMG_ASYNC_ONLY", "far away has no synchronous interface", () =>
      synchronous!.run(qcow2.openIo(storage)),
    );
    expect(error.subject).toBe("far away");
    const image = await asynchronous!.run(qcow2.openIo(storage));
    await expectImgError("ERR_IMG_ASYNC_ONLY", "far away", () => readDisk(synchronous!, image, 0, 512));
    assertBytes(await readDisk(asynchronous!, image, 0, 512), some, "a cluster");
    // the tables are known by now, but the data isn't
    await expectImgError("ERR_IMG_ASYNC_ONLY", "far away", () => readDisk(synchronous!, image, 0, 512));
    // what is in the tables alone needs no storage
    assertBytes(await readDisk(synchronous!, image, 512, 512), new Uint8Array(512), "an unallocated cluster");
  });
});

function withFields(built: ImageBuilder, fields: ImageBuilder["fields"]): Uint8Array {
  const before = built.fields;
  built.fields = fields;
  const bytes = built.build();
  built.fields = before;
  return bytes;
}

/** A storage of which the host takes as much as it is told. */
class AllocatedStorage extends StorageDecorator {
  allocated: number | undefined;

  constructor(inner: Storage, allocated: number | undefined) {
    super(inner);
    this.allocated = allocated;
    if (allocated === undefined) {
      Object.defineProperty(this, "allocatedSize", { value: undefined });
    }
  }

  override allocatedSize(): MaybePromise<number> {
    return this.allocated ?? 0;
  }

  override allocatedSizeSync(): number {
    return this.allocated ?? 0;
  }
}
