import { FormatRegistry, gateFromFunctions, MemoryStorage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import assert from "node:assert/strict";
import { test } from "node:test";
import { blockMap } from "block-map-format";

const formats = new FormatRegistry([qcow2, raw, blockMap]);
const size = 1024 * 1024;

async function makeBase() {
  const storage = new MemoryStorage();
  const image = await blockMap.create(storage, { size });
  await image.write(new TextEncoder().encode("below"), 70_000);
  await image.close();
  return storage.toUint8Array();
}

test("takes only the blocks that hold something, and uses freed ones again", async () => {
  const storage = new MemoryStorage();
  const image = await blockMap.create(storage, { size });
  await image.write(new Uint8Array(65536).fill(1), 65536);
  await image.write(new Uint8Array(65536).fill(2), 131072);
  await image.flush();
  assert.equal(storage.size, 3 * 65536);
  await image.discardToZero(65536, 65536);
  await image.flush();
  await image.write(new Uint8Array(10).fill(3), 500_000);
  await image.close();
  const bytes = storage.toUint8Array();
  assert.equal(bytes.length, 3 * 65536);
  const again = await formats.open(new MemoryStorage(bytes));
  const disk = new Uint8Array(size);
  await again.read(disk, 0);
  assert.equal(disk.indexOf(3), 500_000);
  assert.equal(disk.lastIndexOf(3), 500_009);
  assert.equal(disk.indexOf(1), -1);
  assert.equal(disk.lastIndexOf(2), 196_607);
  await again.close();
});

test("is below a qcow2 image, opened through a gate by the format that the image records", async () => {
  const base = await makeBase();
  const backing = await blockMap.open(new MemoryStorage(base));
  const storage = new MemoryStorage();
  const top = await qcow2.create(storage, { size, backing, backingFile: { name: "base.img", format: "blockmap" } });
  await top.write(new TextEncoder().encode("above"), 70_003);
  await top.flush();
  const overlay = storage.toUint8Array();
  await top.close();
  await backing.close();

  const gate = gateFromFunctions({
    openStorage: () => assert.fail("there is no data file"),
    openImage: ({ name, format = "", chain }) => {
      assert.deepEqual([name, format], ["base.img", "blockmap"]);
      return formats.open(new MemoryStorage(base), { format, chain, gate });
    },
  });
  const again = await formats.open(new MemoryStorage(overlay), { gate });
  const bytes = new Uint8Array(8);
  await again.read(bytes, 70_000);
  assert.equal(new TextDecoder().decode(bytes), "belabove");
  await again.close();
});

test("maps that contradict themselves are refused", async () => {
  const base = await makeBase();
  for (const [offset, value] of [
    [4096, 9], // past the end
    [4096, 1], // the same as another one
    [12, 5000], // block size
    [23, 1], // size
    [8, 2], // version
  ]) {
    const damaged = base.slice();
    new DataView(damaged.buffer).setUint32(offset ?? 0, value ?? 0, true);
    await assert.rejects(blockMap.open(new MemoryStorage(damaged)), { name: "ImgError" });
  }
});
