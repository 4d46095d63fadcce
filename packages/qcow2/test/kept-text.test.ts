import { MemoryStorage, runAsync, type FormatAccess } from "@img/format-core";
import { describe, expect, test } from "vitest";
import { createImage, parseHeader, qcow2, type Qcow2Image } from "../src/index.ts";

type Image = FormatAccess<Qcow2Image>;

/** Not UTF-8, a byte order mark in front of something, and a NUL in the middle: as many bytes as `name00`. */
const odd: readonly Uint8Array[] = [
  Uint8Array.of(0x62, 0x65, 0x66, 0xf6, 0x72, 0xff),
  Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0x62, 0x63),
  Uint8Array.of(0x61, 0x62, 0x00, 0x63, 0x64, 0x65),
];

/** Puts bytes in the place of those of a text. */
function replace(storage: MemoryStorage, text: string, bytes: Uint8Array): MemoryStorage {
  const contents = Buffer.from(storage.toUint8Array());
  const at = contents.indexOf(text);
  expect(at).toBeGreaterThan(0);
  contents.set(bytes, at);
  return new MemoryStorage(contents);
}

function count(storage: MemoryStorage, bytes: Uint8Array): number {
  const contents = Buffer.from(storage.toUint8Array());
  let found = 0;
  for (let at = contents.indexOf(bytes); at >= 0; at = contents.indexOf(bytes, at + 1)) {
    found++;
  }
  return found;
}

const alone = <T>(image: Image, run: (driver: Qcow2Image) => Parameters<typeof image.io.exclusive<T>>[0]): Promise<T> =>
  runAsync(image.io.exclusive(run(image.driver)));
const open = (storage: MemoryStorage): Promise<Image> => qcow2.open(storage, { writable: true });
const copyOf = (storage: MemoryStorage): MemoryStorage => new MemoryStorage(storage.toUint8Array());

describe.each(odd.map((bytes) => [Buffer.from(bytes).toString("hex"), bytes] as const))("the bytes %s", (_, bytes) => {
  test("stay the name of a snapshot, whatever happens to the others", async () => {
    let storage = new MemoryStorage();
    const made = await qcow2.create(storage, { size: 1_048_576, compat: "0.10" });
    await alone(made, (driver) => () => driver.createSnapshot({ name: "name00" }));
    await made.close();
    storage = replace(copyOf(storage), "name00", bytes);

    const more = await open(storage);
    await alone(more, (driver) => () => driver.createSnapshot({ name: "more" }));
    await alone(more, (driver) => () => driver.amend({ compat: "1.1" }));
    await alone(more, (driver) => () => driver.applySnapshot({ id: "1" }));
    await alone(more, (driver) => () => driver.deleteSnapshot("more"));
    await alone(more, (driver) => () => driver.createSnapshot({ name: "again" }));
    await more.close();
    storage = copyOf(storage);
    const { snapshotsOffset } = parseHeader(storage.toUint8Array());
    const table = new MemoryStorage(storage.toUint8Array().subarray(snapshotsOffset, snapshotsOffset + 512));
    expect(count(table, bytes)).toBe(1);
    const [first] = (await qcow2.open(storage)).driver.snapshots;
    expect(first?.nameBytes).toEqual(bytes);
  });

  test("stay the id of a snapshot", async () => {
    let storage = new MemoryStorage();
    const made = await qcow2.create(storage, { size: 1_048_576 });
    await alone(made, (driver) => () => driver.createSnapshot({ name: "5name" }));
    await made.close();
    // the id is the byte before the name: together they are as long as the odd bytes
    const contents = Buffer.from(storage.toUint8Array());
    const at = contents.indexOf("15name");
    contents.writeUInt16BE(6, at - 24 - 40 + 12);
    contents.writeUInt16BE(0, at - 24 - 40 + 14);
    contents.set(bytes, at);
    storage = new MemoryStorage(contents);
    const more = await open(storage);
    await alone(more, (driver) => () => driver.createSnapshot({ name: "more" }));
    await more.close();
    const [first] = (await qcow2.open(copyOf(storage))).driver.snapshots;
    expect(first?.idBytes).toEqual(bytes);
  });

  test("stay the name of a bitmap", async () => {
    let storage = new MemoryStorage();
    const made = await qcow2.create(storage, { size: 1_048_576 });
    await alone(made, (driver) => () => driver.addBitmap({ name: "name00" }));
    await made.close();
    storage = replace(copyOf(storage), "name00", bytes);
    const more = await open(storage);
    await more.write(new Uint8Array(1000), 0);
    await alone(more, (driver) => () => driver.addBitmap({ name: "more" }));
    await alone(more, (driver) => () => driver.amend({ lazyRefcounts: true }));
    await more.close();
    expect(count(copyOf(storage), bytes)).toBeGreaterThan(0);
    expect(count(copyOf(storage), new TextEncoder().encode("\ufffd"))).toBe(0);
  });

  test("stay the name of the data file, when something else is amended", async () => {
    const storage = new MemoryStorage();
    await runAsync(createImage(storage, { size: 1_048_576, dataFileName: "name00", dataFile: new MemoryStorage() }));
    const changed = replace(storage, "name00", bytes);
    const image = await qcow2.open(changed, { writable: true, dataFile: new MemoryStorage(new Uint8Array(1_048_576)) });
    await alone(image, (driver) => () => driver.amend({ lazyRefcounts: true }));
    await alone(image, (driver) => () => driver.amend({ refcountBits: 64 }));
    await image.close();
    expect(count(copyOf(changed), bytes)).toBe(1);
  });
});
