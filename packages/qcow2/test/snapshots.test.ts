import { MemoryStorage, type Storage } from "@img/format-core";
import { assertBytes, CountingStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { parseHeader, type Snapshot } from "../src/index.ts";
import { findSnapshot } from "../src/snapshots/find-snapshot.ts";
import { loadSnapshots } from "../src/snapshots/load-snapshots.ts";
import { parseSnapshot, snapshotLengths } from "../src/snapshots/parse-snapshot.ts";
import { expectImgError } from "./support/expect-error.ts";
import { concat } from "./support/extension-bytes.ts";
import { headerBytes } from "./support/header-fields.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { openBuilt, readDisk } from "./support/open-built.ts";
import { snapshotBytes, snapshotExtra, type SnapshotFields } from "./support/snapshot-bytes.ts";
import { bothWorlds } from "./support/worlds.ts";

const sound: SnapshotFields = {
  id: "1",
  name: "before",
  l1TableOffset: 0x5_0000,
  l1Size: 3,
  extra: snapshotExtra(0, 0x10_0000),
};

function parse(changes: Partial<SnapshotFields> = {}, version: 2 | 3 = 3): Snapshot {
  const bytes = snapshotBytes({ ...sound, ...changes });
  return parseSnapshot(bytes, snapshotLengths(bytes), version, 0x1_0000);
}

describe("an entry of the snapshot table", () => {
  it("gives every field as it stands there", () => {
    const found = parse({
      id: "17",
      name: "vor dem Übergang",
      dateSeconds: 0xffff_fffe,
      dateNanoseconds: 999_999_999,
      vmClock: 0xffff_ffff_ffff_fffen,
      vmStateSize: 7,
      extra: snapshotExtra(0x12_3456_7890, 0x1f_ffff_ffff_fe00n, 0x7fff_ffff_ffff_ffffn, 1, 2, 3),
    });
    expect(found).toEqual({
      id: "17",
      name: "vor dem Übergang",
      l1TableOffset: 0x5_0000,
      l1Size: 3,
      dateSeconds: 0xffff_fffe,
      dateNanoseconds: 999_999_999,
      vmClock: 0xffff_ffff_ffff_fffen,
      vmStateSize: 0x12_3456_7890,
      diskSize: 0x1f_ffff_ffff_fe00,
      icount: 0x7fff_ffff_ffff_ffffn,
      entryLength: 88,
      unknownExtra: Uint8Array.of(1, 2, 3),
    });
  });

  it("of version 2 needs no extra data: what isn't there isn't known", () => {
    const found = parse({ extra: new Uint8Array(0), vmStateSize: 0xffff_ffff }, 2);
    expect(found).toMatchObject({ vmStateSize: 0xffff_ffff, diskSize: undefined, icount: undefined });
    expect(found.unknownExtra.length).toBe(0);
    const half = parse({ extra: snapshotExtra(5, 6).subarray(0, 8), vmStateSize: 1 }, 2);
    expect(half).toMatchObject({ vmStateSize: 5, diskSize: undefined });
    const whole = parse({ extra: snapshotExtra(5, 1024) }, 2);
    expect(whole).toMatchObject({ vmStateSize: 5, diskSize: 1024 });
  });

  it.each([0, 8, 15])("of version 3 is refused with %d bytes of extra data", async (length) => {
    await expectImgError(
      "ERR_IMG_CORRUPT",
      `snapshot "before": ${length} bytes of extra data: expected at least 16`,
      () => parse({ extra: new Uint8Array(length) }),
    );
  });

  it("has an instruction count from 24 bytes of extra data on, unless it is all ones", () => {
    expect(parse({ extra: snapshotExtra(0, 512) }).icount).toBe(undefined);
    expect(parse({ extra: new Uint8Array(23) }).icount).toBe(undefined);
    expect(parse({ extra: snapshotExtra(0, 512, 0n) }).icount).toBe(0n);
    expect(parse({ extra: snapshotExtra(0, 512, 0xffff_ffff_ffff_ffffn) }).icount).toBe(undefined);
  });

  it("may have 1024 bytes of extra data, and not one more", async () => {
    const more = new SeededRandom(1).bytes(1000);
    const found = parse({ extra: snapshotExtra(0, 512, 0n, ...more) });
    expect(found.unknownExtra).toEqual(more);
    expect([found.id, found.name]).toEqual(["1", "before"]);
    for (const claimsExtra of [1025, 0xffff_ffff]) {
      await expectImgError("ERR_IMG_CORRUPT", `${claimsExtra} bytes of extra data: expected at most 1024`, () =>
        parse({ claimsExtra }),
      );
    }
  });

  it("is padded to a multiple of 8 bytes", () => {
    for (let length = 0; length < 20; length++) {
      const bytes = snapshotBytes({ ...sound, name: "n".repeat(length) });
      expect(snapshotLengths(bytes)).toEqual({ extra: 16, id: 1, name: length, entry: bytes.length });
    }
    const longest = { id: "i".repeat(65535), name: "n".repeat(65535) };
    expect(parse(longest)).toMatchObject(longest);
  });

  it("is refused with an L1 table that can't be", async () => {
    expect(parse({ l1Size: 0x40_0000 }).l1Size).toBe(0x40_0000);
    const rules = [
      [{ l1Size: 0x40_0001 }, 'snapshot "before": L1 table has 4194305 entries: expected at most 4194304'],
      [{ l1Size: 0xffff_ffff }, "L1 table has 4294967295 entries"],
      [{ l1TableOffset: 0x5_0200 }, 'snapshot "before": L1 table at host offset 0x50200: not cluster-aligned'],
      [{ l1TableOffset: 2n ** 53n }, "snapshot's L1 table offset is 0x20000000000000"],
    ] as const;
    for (const [changes, message] of rules) {
      await expectImgError("ERR_IMG_CORRUPT", message, () => parse(changes));
    }
  });

  it("is refused with sizes past 2^53", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "snapshot's VM state size is 0x", () =>
      parse({ extra: snapshotExtra(2n ** 53n, 0) }),
    );
    await expectImgError("ERR_IMG_CORRUPT", "snapshot's disk size is 0x", () =>
      parse({ extra: snapshotExtra(0, 2n ** 53n) }),
    );
  });
});

describe("a snapshot is found", () => {
  const snapshots = [
    parse({ id: "1", name: "2" }),
    parse({ id: "2", name: "three" }),
    parse({ id: "3", name: "three" }),
  ];
  const find = (selector: Parameters<typeof findSnapshot>[1]): string => findSnapshot(snapshots, selector).id;

  it("by its id first, then by its name", () => {
    expect(find("1")).toBe("1");
    // also the name of another one
    expect(find("2")).toBe("2");
    expect(find("three")).toBe("2");
  });

  it("by exactly what is named", () => {
    expect(find({ id: "3" })).toBe("3");
    expect(find({ name: "2" })).toBe("1");
    expect(find({ name: "three" })).toBe("2");
    expect(find({ id: "3", name: "three" })).toBe("3");
  });

  it("or refused, telling which ones there are", async () => {
    for (const selector of ["4", "", { id: "three" }, { name: "1" }, { id: "1", name: "three" }, { id: "" }, {}]) {
      await expectImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `there is no snapshot ${JSON.stringify(selector)}: expected one of 1 "2", 2 "three", 3 "three"`,
        () => findSnapshot(snapshots, selector),
      );
    }
    await expectImgError("ERR_IMG_OUT_OF_RANGE", "expected one of none", () => findSnapshot([], "1"));
  });
});

describe.each(bothWorlds)("the snapshot table ($name)", (world) => {
  const offset = 0x1_0000;

  async function load(
    entries: readonly Uint8Array[],
    options: { readonly count?: number; readonly version?: number } = {},
  ): Promise<{ readonly snapshots: readonly Snapshot[]; readonly storage: CountingStorage }> {
    const { count = entries.length, version = 3 } = options;
    const bytes = concat(
      headerBytes({ version, snapshotCount: count, snapshotsOffset: offset, l1TableOffset: 0x2_0000 }, offset),
      ...entries,
    );
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(bytes)));
    return { storage, snapshots: await world.run(loadSnapshots(storage, parseHeader(bytes.subarray(0, 512)))) };
  }

  it("isn't read where there are no snapshots", async () => {
    const { snapshots, storage } = await load([]);
    expect(snapshots).toEqual([]);
    expect(storage.calls()).toBe(0);
  });

  it("is read in order, with one read where it is short", async () => {
    const entries = ["a", "bb", "ccccccccc"].map((name, index) => snapshotBytes({ ...sound, id: `${index}`, name }));
    const { snapshots, storage } = await load(entries);
    expect(snapshots.map(({ id, name }) => [id, name])).toEqual([
      ["0", "a"],
      ["1", "bb"],
      ["2", "ccccccccc"],
    ]);
    expect(storage.calls()).toBe(1);
  });

  it("is read in pieces where it is long, whatever lies across their borders", async () => {
    const random = new SeededRandom(1);
    const entries = Array.from({ length: 300 }, (_, index) => {
      const name = `${index}`.repeat(random.integer(1, 300));
      return snapshotBytes({
        ...sound,
        id: `${index}`,
        name,
        extra: snapshotExtra(0, 512, 1n, ...random.bytes(index)),
      });
    });
    const { snapshots, storage } = await load(entries);
    expect(snapshots.map(({ id }) => id)).toEqual(entries.map((_, index) => `${index}`));
    expect(snapshots[299]!.unknownExtra.length).toBe(299);
    const length = entries.reduce((sum, entry) => sum + entry.length, 0);
    expect(length).toBeGreaterThan(2 * 65536);
    expect(storage.calls()).toBeLessThanOrEqual(Math.ceil(length / 60_000) + 1);
  });

  it("may have entries longer than a piece", async () => {
    const entries = ["x", "y", "z"].map((letter) =>
      snapshotBytes({ ...sound, id: letter.repeat(65535), name: letter.repeat(65535) }),
    );
    const { snapshots } = await load(entries);
    expect(snapshots.map(({ id, name }) => [id.length, name.at(-1)])).toEqual([
      [65535, "x"],
      [65535, "y"],
      [65535, "z"],
    ]);
  });

  it("that isn't there is refused at once, however long it claims to be", async () => {
    const { storage, snapshots } = await load([], { count: 65536, version: 2 });
    // zeroes are what version 2 allows: nameless snapshots with L1 tables of no entries
    expect(snapshots.length).toBe(65536);
    expect(storage.counts.read.bytes).toBeLessThan(2 * 65536 * 40);
    await expectImgError("ERR_IMG_CORRUPT", "0 bytes of extra data: expected at least 16", () =>
      load([], { count: 65536 }),
    );
  });

  it("of more than 64 MiB is refused before all of it is read", async () => {
    const long = snapshotBytes({ ...sound, id: "i".repeat(65535), name: "n".repeat(65535) });
    const fitting = Math.floor(0x400_0000 / long.length);
    const table = new Uint8Array(offset + (fitting + 1) * long.length);
    table.set(headerBytes({ snapshotCount: fitting + 1, snapshotsOffset: offset, l1TableOffset: 0x2_0000 }));
    for (let index = 0; index <= fitting; index++) {
      table.set(long, offset + index * long.length);
    }
    const storage = world.storage(new MemoryStorage(table));
    await expectImgError("ERR_IMG_CORRUPT", `longer than 67108864 bytes at entry ${fitting}`, () =>
      world.run(loadSnapshots(storage, parseHeader(table.subarray(0, 512)))),
    );
    table.set(headerBytes({ snapshotCount: fitting, snapshotsOffset: offset, l1TableOffset: 0x2_0000 }));
    const fits = world.storage(new MemoryStorage(table));
    const snapshots = await world.run(loadSnapshots(fits, parseHeader(table.subarray(0, 512))));
    expect(snapshots.length).toBe(fitting);
  });
});

describe.each(bothWorlds)("an image with snapshots ($name)", (world) => {
  const cluster = 512;
  const size = 100 * cluster;
  const random = new SeededRandom(2);
  const old = random.bytes(3 * cluster);
  const young = random.bytes(3 * cluster);

  function built(version: 2 | 3 = 3): ImageBuilder {
    const image = new ImageBuilder({ version, size });
    [0, 1, 70].forEach((index, place) =>
      image.data(index * cluster, old.subarray(place * cluster, (place + 1) * cluster)),
    );
    image.snapshot({ id: "1", name: "first" });
    [1, 2, 71].forEach((index, place) =>
      image.data(index * cluster, young.subarray(place * cluster, (place + 1) * cluster)),
    );
    image.snapshot({ id: "2", name: "second", diskSize: 71 * cluster });
    return image;
  }

  const before = new Uint8Array(size);
  before.set(old.subarray(0, 2 * cluster), 0);
  before.set(old.subarray(2 * cluster), 70 * cluster);
  const now = before.slice();
  now.set(young.subarray(0, 2 * cluster), cluster);
  now.set(young.subarray(2 * cluster), 71 * cluster);

  it("shows the disk as it is", async () => {
    const image = await openBuilt(world, built());
    assertBytes(await readDisk(world, image), now, "the disk");
    expect(image.driver.info.snapshots.map(({ id, name }) => [id, name])).toEqual([
      ["1", "first"],
      ["2", "second"],
    ]);
  });

  it.each(["1", "first", { id: "1" }, { name: "first" }])("shows the disk as it was: %j", async (snapshot) => {
    for (const version of [2, 3] as const) {
      const image = await openBuilt(world, built(version), { snapshot });
      assertBytes(await readDisk(world, image), before, "the snapshot");
      expect(image.writable).toBe(false);
    }
  });

  it("shows a snapshot's disk with the size that it had", async () => {
    const image = await openBuilt(world, built(), { snapshot: "second" });
    expect(image.size).toBe(71 * cluster);
    assertBytes(await readDisk(world, image), now.subarray(0, 71 * cluster), "the snapshot");
    const beyond = await readDisk(world, image, 70 * cluster, 2 * cluster);
    assertBytes(beyond.subarray(cluster), new Uint8Array(cluster), "past the end");
    expect(image.driver.info.virtualSize).toBe(size);
  });

  it("shows a snapshot's disk that was larger than it is now", async () => {
    const image = new ImageBuilder({ size });
    image.data(99 * cluster, old.subarray(0, cluster));
    image.snapshot({ id: "1", name: "larger" });
    image.fields = { size: 10 * cluster };
    const shown = await openBuilt(world, image, { snapshot: "1" });
    expect(shown.size).toBe(size);
    assertBytes(await readDisk(world, shown, 99 * cluster), old.subarray(0, cluster), "the end");
    const active = await openBuilt(world, image);
    expect(active.size).toBe(10 * cluster);
  });

  it("shows a snapshot that records no size with the size of today", async () => {
    const image = new ImageBuilder({ version: 2, size });
    const host = image.data(0, old.subarray(0, cluster));
    image.rawSnapshot(snapshotBytes({ id: "1", name: "old", l1TableOffset: image.l1Offset, l1Size: image.l1Size }));
    const shown = await openBuilt(world, image, { snapshot: "old" });
    expect(host).toBeGreaterThan(0);
    expect(shown.size).toBe(size);
    assertBytes(await readDisk(world, shown, 0, cluster), old.subarray(0, cluster), "the disk");
  });

  it("has nothing where a snapshot's L1 table ends early", async () => {
    const image = new ImageBuilder({ size });
    image.data(0, old.subarray(0, cluster));
    image.data(70 * cluster, old.subarray(0, cluster));
    const extra = snapshotExtra(0, size);
    image.rawSnapshot(snapshotBytes({ ...sound, l1TableOffset: image.l1Offset, l1Size: 1, extra }));
    const shown = await openBuilt(world, image, { snapshot: "1" });
    assertBytes(await readDisk(world, shown, 0, cluster), old.subarray(0, cluster), "the first cluster");
    assertBytes(await readDisk(world, shown, 64 * cluster), new Uint8Array(36 * cluster), "the rest");
  });

  it("is refused for a snapshot that it doesn't have", async () => {
    await expectImgError(
      "ERR_IMG_OUT_OF_RANGE",
      'there is no snapshot "third": expected one of 1 "first", 2 "second"',
      () => openBuilt(world, built(), { snapshot: "third" }),
    );
  });
});
