import { MemoryStorage, type FormatAccess, type Preallocation } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes } from "@img/testing";
import { describe, expect, test } from "vitest";
import { checkQcow2, createImage, qcow2, type Qcow2CreateOptions, type Qcow2Image } from "../src/index.ts";
import { DeviceStorage } from "./support/device-storage.ts";
import { expectImgError } from "./support/expect-error.ts";
import { bothWorlds } from "./support/worlds.ts";

const mebibyte = 1_048_576;

/** A device full of something else. */
function device(length: number): DeviceStorage {
  return new DeviceStorage(new Uint8Array(length).fill(0xee));
}

describe.each(bothWorlds)("qcow2 on a block device, in the $name world", (world) => {
  async function read({ io }: FormatAccess<Qcow2Image>, offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length).fill(0x55);
    await world.run(io.read(IoVector.single(bytes), offset));
    return bytes;
  }
  const write = ({ io }: FormatAccess<Qcow2Image>, offset: number, length: number): Promise<void> =>
    world.run(io.write(IoVector.single(new Uint8Array(length).fill(0xaa)), offset));
  const create = (storage: DeviceStorage, options: Qcow2CreateOptions): Promise<FormatAccess<Qcow2Image>> =>
    world.run(qcow2.createIo(world.storage(storage), options));
  async function expectSound(storage: DeviceStorage): Promise<void> {
    const { corruptions, leaks } = await checkQcow2(storage.reopened());
    expect([corruptions, leaks]).toEqual([0, 0]);
  }

  test("a new image has the bytes that it has in a file, and leaves nothing of what was there", async () => {
    const storage = device(mebibyte);
    const inFile = new MemoryStorage();
    await world.run(createImage(world.storage(inFile), { size: 2 ** 30 }));
    await world.run(createImage(world.storage(storage), { size: 2 ** 30 }));
    assertBytes(storage.inner.toUint8Array().subarray(0, inFile.size), inFile.toUint8Array(), "the image");
    await expectSound(storage);
    expect(storage.size).toBe(mebibyte);
  });

  test.each<Preallocation>(["none", "metadata", "falloc", "full"])(
    "nothing of what was there shows through, with preallocation %s",
    async (preallocation) => {
      const storage = device(4 * mebibyte);
      const image = await create(storage, { size: 2 * mebibyte, preallocation });
      expect((await read(image, 0, 2 * mebibyte)).every((byte) => byte === 0)).toBe(true);
      await write(image, 100_000, 1000);
      await world.run(image.io.close());
      const expected = new Uint8Array(2 * mebibyte).fill(0xaa, 100_000, 101_000);
      const again = await world.run(qcow2.openIo(world.storage(storage.reopened()), {}));
      assertBytes(await read(again, 0, 2 * mebibyte), expected, "the disk");
      await world.run(again.io.close());
      await expectSound(storage);
    },
  );

  test("a disk may be larger than the device: what doesn't fit any more fails, and the rest stays", async () => {
    const storage = device(mebibyte);
    const image = await create(storage, { size: 2 ** 40 });
    const written: number[] = [];
    await expectImgError("ERR_IMG_NO_SPACE", /device/, async () => {
      for (let at = 0; at < 100; at++) {
        await write(image, at * 2 ** 30, 65_536);
        written.push(at * 2 ** 30);
      }
    });
    expect(written.length).toBeGreaterThan(3);
    await world.run(image.io.close());
    const again = await world.run(qcow2.openIo(world.storage(storage.reopened()), {}));
    for (const offset of written) {
      expect((await read(again, offset, 65_536)).every((byte) => byte === 0xaa)).toBe(true);
    }
    await world.run(again.io.close());
    await expectSound(storage);
  });

  test("a device that is too small for the tables is refused", async () => {
    await expectImgError("ERR_IMG_NO_SPACE", /device has 65536 bytes: the image needs 196616/, () =>
      create(device(65_536), { size: 2 ** 20 }),
    );
  });

  test("shrinking and emptying leave the device as long as it is", async () => {
    const storage = device(4 * mebibyte);
    const image = await create(storage, { size: 2 * mebibyte });
    await write(image, 0, 2 * mebibyte);
    await world.run(image.io.resize(mebibyte, "none"));
    expect(image.size).toBe(mebibyte);
    await world.run(image.io.close());
    expect(storage.size).toBe(4 * mebibyte);
    await expectSound(storage);
  });

  test("a data file on a device is emptied and kept as long as it is", async () => {
    const storage = new DeviceStorage(new Uint8Array(mebibyte));
    const dataFile = device(4 * mebibyte);
    const image = await create(storage, {
      size: 2 * mebibyte,
      dataFileName: "/dev/data",
      dataFile: world.storage(dataFile),
    });
    expect((await read(image, 0, 2 * mebibyte)).every((byte) => byte === 0)).toBe(true);
    await write(image, mebibyte, 1000);
    await world.run(image.io.resize(mebibyte, "none"));
    await world.run(image.io.close());
    const bytes = dataFile.inner.toUint8Array();
    expect(bytes.subarray(0, mebibyte).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(2 * mebibyte).every((byte) => byte === 0xee)).toBe(true);
    await expectImgError("ERR_IMG_NO_SPACE", /device/, () =>
      create(device(mebibyte), {
        size: 8 * mebibyte,
        dataFileName: "/dev/data",
        dataFile: world.storage(device(4 * mebibyte)),
      }),
    );
  });
});
