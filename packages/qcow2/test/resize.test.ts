import { alignUp, MemoryStorage, runAsync, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { FaultPlan, FaultStorage } from "@img/testing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { checkImage, createImage, headerLayout, parseHeader, qcow2, type Qcow2Image } from "../src/index.ts";
import { HeaderWriter } from "../src/write/header-writer.ts";
import { ResidentTable } from "../src/write/resident-table.ts";
import { trimFile } from "../src/write/resize.ts";
import { DeviceStorage } from "./support/device-storage.ts";
import { expectImgError } from "./support/expect-error.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { openWriter } from "./support/open-writer.ts";
import { bothWorlds } from "./support/worlds.ts";

const mebibyte = 1_048_576;
const copied = 1n << 63n;

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a file with a hole at its end", () => {
  test.each([2 ** 28, 2 ** 44])("of %d bytes is cut off without a look at each of its clusters", (length) => {
    const storage = new MemoryStorage();
    const image = runSync(qcow2.createIo(storage, { size: mebibyte, clusterSize: 512 }));
    runSync(image.io.write(IoVector.single(new Uint8Array(100_000).fill(1)), 0));
    runSync(image.io.flush());
    const { size } = storage;
    storage.resize?.(length);
    const looks = vi.spyOn(ResidentTable.prototype, "view", "get");
    runSync(image.io.resize(mebibyte / 2, "none"));
    expect(looks.mock.calls.length).toBeGreaterThan(0);
    expect(looks.mock.calls.length).toBeLessThan(10_000);
    expect(storage.size).toBeLessThanOrEqual(alignUp(size, 512));
  });

  test("stays as long as it is when that is aborted", () => {
    const storage = new MemoryStorage();
    runSync(createImage(storage, { size: mebibyte, clusterSize: 512 }));
    const { context } = openWriter(storage);
    const { size } = storage;
    storage.resize?.(2 ** 44);
    expect(() => runSync(trimFile(context), AbortSignal.abort(new Error("enough")))).toThrow("enough");
    expect(storage.size).toBe(2 ** 44);
    runSync(trimFile(context));
    expect(storage.size).toBe(alignUp(size, 512));
  });
});

describe("an L2 table for guest offsets that can't be", () => {
  const clusterSize = 2 * mebibyte;

  /** An image with a VM state, and with a table in an L1 table that is longer than any disk. */
  async function makeImage(vmState: IoVector): Promise<Uint8Array<ArrayBuffer>> {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size: mebibyte, clusterSize });
    await runAsync(image.io.shared(() => image.driver.writeVmState(vmState, 0)));
    await image.close();
    const written = storage.toUint8Array();
    const table = Math.ceil(written.length / clusterSize) * clusterSize;
    const bytes = new Uint8Array(table + clusterSize);
    bytes.set(written);
    const view = new DataView(bytes.buffer);
    // 2^14 entries map 2^53 bytes
    view.setUint32(headerLayout.l1Size, 2 ** 14 + 1);
    view.setBigUint64(parseHeader(bytes).l1TableOffset + 2 ** 14 * 8, BigInt(table) | copied);
    return bytes;
  }

  test.each([
    ["grow", 2 * mebibyte],
    ["shrink", mebibyte / 2],
  ])("is refused before anything is dropped, when the disk is to %s", async (_, size) => {
    const vmState = new Uint8Array(8192).fill(7);
    const storage = new MemoryStorage(await makeImage(IoVector.single(vmState)));
    const image: FormatAccess<Qcow2Image> = await qcow2.open(storage, { writable: true });
    await expectImgError("ERR_IMG_CORRUPT", "L2 table 16384 maps guest offsets from 2^53 on", () => image.resize(size));
    expect(image.size).toBe(mebibyte);
    const bytes = new Uint8Array(vmState.length);
    await runAsync(image.io.shared(() => image.driver.readVmState(IoVector.single(bytes), 0)));
    expect(bytes).toEqual(vmState);
  });
});

describe.each(bothWorlds)("what lies behind a disk with a raw data file, in the $name world", (world) => {
  const cluster = 512;

  /** A disk of 100 clusters; its data file isn't longer, but an L2 table says that something is behind. */
  function built(): ImageBuilder {
    const builder = new ImageBuilder({ size: 100 * cluster, externalDataFile: true });
    const index = 3;
    const table = builder.allocate(cluster);
    builder.poke64(table, BigInt(index * builder.coverage) | copied);
    builder.poke64(builder.l1Offset + index * 8, BigInt(table) | copied);
    builder.fields = { l1Size: index + 1, autoclearFeatures: 2 };
    return builder;
  }

  test("goes without the data file becoming longer than the disk", async () => {
    const builder = built();
    const data = new MemoryStorage(builder.dataFile);
    const storage = world.storage(new MemoryStorage(builder.build()));
    const image = await world.run(qcow2.openIo(storage, { writable: true, dataFile: world.storage(data) }));
    await world.run(image.io.resize(110 * cluster, "none"));
    expect(data.size).toBe(110 * cluster);
  });

  test("goes where the data file can't become longer", async () => {
    const builder = built();
    const data = new DeviceStorage(builder.dataFile.fill(1));
    const storage = world.storage(new MemoryStorage(builder.build()));
    const image = await world.run(qcow2.openIo(storage, { writable: true, dataFile: world.storage(data) }));
    await world.run(image.io.resize(50 * cluster, "none"));
    expect(data.size).toBe(100 * cluster);
    const expected = new Uint8Array(100 * cluster).fill(1, 0, 50 * cluster);
    expect(Buffer.compare(data.inner.toUint8Array(), expected)).toBe(0);
  });
});

describe("a disk over another one that couldn't be made smaller", () => {
  const cluster = 4096;
  const size = cluster * 64;

  async function below(): Promise<FormatAccess> {
    const image = await qcow2.create(new MemoryStorage(), { size, clusterSize: cluster });
    await image.write(new Uint8Array(size).fill(200), 0);
    return image;
  }

  async function makeOverlay(compat: "0.10" | "1.1"): Promise<MemoryStorage> {
    const memory = new MemoryStorage();
    const backingFile = { name: "below", format: "qcow2" };
    const options = { size, clusterSize: cluster, compat, backing: await below(), backingFile };
    const image = await qcow2.create(memory, options);
    await image.write(new Uint8Array(size / 2).fill(1), size / 2);
    await image.close();
    return new MemoryStorage(memory.toUint8Array());
  }

  /** @returns the disk's size, and the bytes that are found in its second half, where everything was 1 */
  async function seenIn(memory: MemoryStorage): Promise<{ readonly size: number; readonly found: number[] }> {
    const image = await qcow2.open(new MemoryStorage(memory.toUint8Array()), { backing: await below() });
    const bytes = new Uint8Array(image.size);
    await image.read(bytes, 0);
    return { size: image.size, found: [...new Set(bytes.subarray(size / 2))].sort() };
  }

  describe.each(["0.10", "1.1"] as const)("in version %s", (compat) => {
    test("shows what it held, or zeroes, but not what lies below, whichever call fails", async () => {
      const made = await makeOverlay(compat);
      const sizes = new Set<number>();
      for (let nth = 1; ; nth++) {
        const memory = new MemoryStorage(made.toUint8Array());
        const plan = new FaultPlan();
        const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true, backing: await below() });
        plan.add({ nth });
        await image.resize(size / 2 + cluster * 3 + 512).catch(() => undefined);
        if (plan.faults.length === 0) {
          break;
        }
        plan.clear();
        const bytes = new Uint8Array(image.size - size / 2);
        await image.read(bytes, size / 2);
        expect([...new Set(bytes)].filter((byte) => byte > 1)).toEqual([]);
        const seen = await seenIn(memory);
        expect(seen.size).toBe(image.size);
        expect(seen.found.filter((byte) => byte > 1)).toEqual([]);
        sizes.add(seen.size);
        // whatever was left behind the end doesn't come back
        await image.resize(size / 2 + cluster * 3 + 512);
        await image.resize(size);
        await image.close();
        const grown = await seenIn(memory);
        expect(grown).toEqual({ size, found: [0, 1] });
        expect(runSync(checkImage(new MemoryStorage(memory.toUint8Array()))).corruptions).toBe(0);
      }
      expect(sizes.size).toBe(2);
    });

    test("doesn't show what it had there when it grows without having been made smaller to the end", async () => {
      const memory = await makeOverlay(compat);
      const plan = new FaultPlan();
      const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true, backing: await below() });
      const { setSize } = HeaderWriter.prototype;
      vi.spyOn(HeaderWriter.prototype, "setSize").mockImplementationOnce(function* (this: HeaderWriter, to) {
        yield* setSize.call(this, to);
        plan.add({});
      });
      await image.resize(size / 2).catch(() => undefined);
      expect(plan.faults.length).toBeGreaterThan(0);
      plan.clear();
      const again = await qcow2.open(new MemoryStorage(memory.toUint8Array()), {
        writable: true,
        backing: await below(),
      });
      expect(again.size).toBe(size / 2);
      await again.resize(size);
      const bytes = new Uint8Array(size / 2).fill(9);
      await again.read(bytes, size / 2);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      await again.close();
    });
  });
});
