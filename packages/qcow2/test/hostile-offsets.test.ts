import { IoVector } from "@img/io-vector";
import { guestOffset, ImgError, MemoryStorage, runAsync, type FormatAccess, type Io } from "@img/format-core";
import { expect, test } from "vitest";
import { checkImage, loadClusterUsage, planRepair, qcow2, repairImage, type Qcow2Image } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { bothWorlds, type World } from "./support/worlds.ts";

const copied = 1n << 63n;
const compressed = 1n << 62n;

/** Values at which sums with a length stop being exact, or don't fit an entry. */
const hostile: readonly bigint[] = [
  2n ** 53n - 1n,
  2n ** 53n - 512n,
  2n ** 53n - 65_536n,
  2n ** 53n - 2n ** 21n,
  2n ** 56n - 512n,
  2n ** 63n - 2n ** 21n,
  2n ** 64n - 1n,
];

interface Field {
  readonly name: string;
  readonly offset: number;
}

interface Base {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly fields: readonly Field[];
}

/** An image with everything that has an offset or a size in it, and where these are. */
function makeBase(clusterBits: number, version: 2 | 3, extendedL2: boolean): Base {
  const cluster = 2 ** clusterBits;
  const builder = new ImageBuilder({ clusterBits, version, extendedL2, size: 64 * cluster });
  builder.data(0, new Uint8Array(cluster).fill(1));
  builder.data(cluster, new Uint8Array(cluster).fill(2));
  const snapshotL1 = builder.snapshot({ id: "1", name: "one" });
  builder.data(2 * cluster, new Uint8Array(cluster).fill(3));
  const packed = builder.compressed(3 * cluster, new Uint8Array(100).fill(4));
  const bitmaps = version === 3;
  const directory = builder.allocate(cluster);
  const table = builder.allocate(cluster);
  const bits = builder.allocate(cluster);
  const entry = new Uint8Array(32);
  const view = new DataView(entry.buffer);
  view.setBigUint64(0, BigInt(table));
  view.setUint32(8, 1);
  view.setUint8(16, 1);
  view.setUint8(17, 9);
  view.setUint16(18, 4);
  entry.set([98, 105, 116, 115], 24);
  builder.poke(directory, entry);
  builder.poke64(table, bits);
  const data = new Uint8Array(24);
  new DataView(data.buffer).setUint32(0, 1);
  new DataView(data.buffer).setBigUint64(8, 32n);
  new DataView(data.buffer).setBigUint64(16, BigInt(directory));
  const luks = new Uint8Array(16);
  if (bitmaps) {
    builder.extensions = [
      { type: 0x23852875, data },
      { type: 0x0537be77, data: luks },
    ];
    builder.fields = { autoclearFeatures: 1 };
  }
  const bytes = builder.build();
  const built = new DataView(bytes.buffer);
  const snapshots = Number(built.getBigUint64(64));
  const at =
    (offset: number): ((name: string, within: number) => Field) =>
    (name, within) => ({ name, offset: offset + within });
  const header = at(0);
  const snapshot = at(snapshots);
  const l2 = builder.entryOffset(2 * cluster);
  const step = extendedL2 ? 16 : 8;
  const fields: Field[] = [
    header("backing_file_offset", 8),
    header("size", 24),
    header("l1_table_offset", 40),
    header("refcount_table_offset", 48),
    header("refcount_table_clusters", 56),
    header("snapshots_offset", 64),
    { name: "L1 entry", offset: builder.l1Offset },
    { name: "L2 entry", offset: l2 },
    { name: "compressed L2 entry", offset: l2 + step },
    { name: "unallocated L2 entry", offset: l2 + 2 * step },
    { name: "refcount table entry", offset: Number(built.getBigUint64(48)) },
    { name: "second refcount table entry", offset: Number(built.getBigUint64(48)) + 8 },
    { name: "refcounts", offset: Number(built.getBigUint64(Number(built.getBigUint64(48)))) },
    snapshot("a snapshot's L1 offset", 0),
    snapshot("a snapshot's L1 size", 8),
    snapshot("a snapshot's VM clock", 24),
    snapshot("a snapshot's VM state size", 40),
    snapshot("a snapshot's disk size", 48),
    { name: "a snapshot's L1 entry", offset: snapshotL1 },
    { name: "a snapshot's L2 entry", offset: Number(built.getBigUint64(snapshotL1) & ~copied) },
  ];
  if (extendedL2) {
    fields.push({ name: "subclusters", offset: l2 + 8 });
  }
  if (bitmaps) {
    fields.push(
      header("bitmap directory size", 112 + 8 + 8),
      header("bitmap directory offset", 112 + 8 + 16),
      { name: "a bitmap's table offset", offset: directory },
      { name: "a bitmap's table size", offset: directory + 8 },
      { name: "a bitmap's cluster", offset: table },
      header("LUKS header offset", 112 + 32 + 8),
      header("LUKS header length", 112 + 32 + 16),
    );
  }
  expect(packed).toBeGreaterThan(0);
  return {
    name: `clusters of ${String(cluster)} bytes, version ${String(version)}${extendedL2 ? ", extended" : ""}`,
    bytes,
    fields,
  };
}

const bases = [makeBase(9, 3, false), makeBase(9, 2, false), makeBase(14, 3, true)];

type Drive = <T>(what: string, io: () => Io<T>) => Promise<T | undefined>;

/** Does everything to an image that can be done; whatever fails has to fail with an `ImgError`. */
async function exercise(bytes: Uint8Array<ArrayBuffer>, world: World, drive: Drive): Promise<void> {
  const storage = (): MemoryStorage => new MemoryStorage(bytes.slice(), { maxSize: 64 * 1024 * 1024 });
  const ready = () => world.storage(storage());
  await drive("check", () => checkImage(ready(), { deep: true }));
  await drive("usage", () => loadClusterUsage(ready()));
  for (const mode of ["leaks", "all"] as const) {
    await drive(`plan ${mode}`, () => planRepair(ready(), { mode }));
    await drive(`repair ${mode}`, () => repairImage(ready(), { mode }));
  }
  const inspected = await drive("inspect", () => qcow2.openIo(ready(), { inspect: true }));
  if (inspected !== undefined) {
    await drive("regions", () => inspected.driver.hostRegions());
  }
  for (const snapshot of [undefined, { id: "1" }]) {
    const image = await drive("open", () =>
      qcow2.openIo(ready(), { backing: null, ...(snapshot === undefined ? {} : { snapshot }) }),
    );
    if (image !== undefined) {
      await read(image, drive);
      await drive("sparse", () => image.driver.hasSparseData());
      await drive("vm state", () => image.driver.readVmState(IoVector.single(new Uint8Array(512)), 0));
      await drive("bits", () => image.driver.bitmapExtents("bits", 0, Math.min(image.size, 65536)));
      await drive("close", () => image.io.close());
    }
  }
  await change(ready, drive);
}

async function read(image: FormatAccess<Qcow2Image>, drive: Drive): Promise<void> {
  const { clusterSize } = image.driver.info;
  for (let cluster = 0; cluster < 5; cluster++) {
    const offset = cluster * clusterSize;
    if (offset >= image.size) {
      break;
    }
    await drive("map", () => image.io.getMapping(offset, image.size - offset));
    await drive("cluster", () => image.driver.getClusterMapping(guestOffset(offset)));
    const length = Math.min(clusterSize, image.size - offset);
    await drive("read", () => image.io.read(IoVector.single(new Uint8Array(length)), offset));
  }
  const last = Math.max(image.size - 512, 0);
  await drive("map the end", () => image.io.getMapping(last, image.size - last));
  await drive("read the end", () => image.io.read(IoVector.single(new Uint8Array(image.size - last)), last));
}

type Change = readonly [what: string, body: (image: FormatAccess<Qcow2Image>) => Io<unknown>];

function alone(what: string, body: (driver: Qcow2Image) => Io<unknown>): Change {
  return [what, (image) => image.io.exclusive(() => body(image.driver))];
}

const changes: readonly Change[] = [
  [
    "write",
    function* (image) {
      const { clusterSize } = image.driver.info;
      for (let cluster = 0; cluster < 5; cluster++) {
        yield* image.io.write(IoVector.single(new Uint8Array(512).fill(9)), cluster * clusterSize);
      }
    },
  ],
  ["write at the end", (image) => image.io.write(IoVector.single(new Uint8Array(512)), image.size - 512)],
  ["zero", (image) => image.io.writeZeroes(0, Math.min(image.size, 5 * image.driver.info.clusterSize), {})],
  ["discard", (image) => image.io.discardToZero(0, Math.min(image.size, 5 * image.driver.info.clusterSize))],
  ["grow", (image) => image.io.resize(image.size + image.driver.info.clusterSize, "none")],
  ["shrink", (image) => image.io.resize(512, "none")],
  alone("create a snapshot", (driver) => driver.createSnapshot({ name: "two" })),
  alone("apply a snapshot", (driver) => driver.applySnapshot({ id: "1" })),
  alone("delete a snapshot", (driver) => driver.deleteSnapshot({ id: "1" })),
  alone("empty", (driver) => driver.makeEmpty()),
  alone("add a bitmap", (driver) => driver.addBitmap({ name: "more" })),
  alone("remove a bitmap", (driver) => driver.removeBitmap("bits")),
  alone("clear a bitmap", (driver) => driver.clearBitmap("bits")),
  alone("amend", (driver) => driver.amend({ refcountBits: 32 })),
  alone("amend the version", (driver) => driver.amend({ compat: driver.header.version === 2 ? "1.1" : "0.10" })),
  alone("save the VM state", (driver) => driver.writeVmState(IoVector.single(new Uint8Array(512)), 0)),
];

async function change(ready: () => ReturnType<World["storage"]>, drive: Drive): Promise<void> {
  for (const [what, body] of changes) {
    const image = await drive("open to change", () => qcow2.openIo(ready(), { backing: null, writable: true }));
    if (image === undefined) {
      return;
    }
    await drive(what, () => body(image));
    await drive("flush", () => image.io.flush());
    await drive("close", () => image.io.close());
  }
}

test.each(bases)(
  "numbers that are almost too large give an error with a name: $name",
  { timeout: 120_000 },
  async ({ bytes, fields }) => {
    const wrong = new Map<string, string>();
    let turn = 0;
    for (const { name, offset } of fields) {
      for (const value of hostile) {
        for (const flag of name.includes("entry") ? [0n, copied, compressed] : [0n]) {
          const broken = bytes.slice();
          new DataView(broken.buffer).setBigUint64(offset, value | flag);
          const world = bothWorlds[turn++ % bothWorlds.length]!;
          await exercise(broken, world, async (what, io) => {
            try {
              return await world.run(io());
            } catch (error) {
              if (!(error instanceof ImgError)) {
                const stack = error instanceof Error ? (error.stack ?? "") : String(error);
                wrong.set(stack, `${name} = 0x${(value | flag).toString(16)}, ${what}`);
              }
              return undefined;
            }
          });
        }
      }
    }
    expect([...wrong].map(([stack, what]) => `${what}: ${stack}`)).toEqual([]);
  },
);

test("the width of refcounts isn't changed where all of them are behind the file's end", async () => {
  const builder = new ImageBuilder({ clusterBits: 9, size: 64 * 512 });
  builder.data(0, new Uint8Array(512).fill(1));
  builder.fields = { refcountTableOffset: 2 ** 40 };
  const image = await qcow2.open(new MemoryStorage(builder.build()), { writable: true });
  await expectImgError("ERR_IMG_CORRUPT", "all refcounts are 0", () =>
    runAsync(image.io.exclusive(() => image.driver.amend({ refcountBits: 32 }))),
  );
});
