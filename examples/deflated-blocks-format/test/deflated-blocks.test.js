import { FormatRegistry, gateFromFunctions, MemoryStorage, runSync } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflatedBlocks, packDisk } from "deflated-blocks-format";

const formats = new FormatRegistry([qcow2, raw, deflatedBlocks]);

function makeDisk() {
  const disk = new Uint8Array(300_032);
  return disk.fill(7, 1000, 200_000);
}

test("is found by what it holds, and is smaller than the disk", async () => {
  const disk = makeDisk();
  const image = await packDisk(disk);
  assert.ok(image.length < 2000);
  const opened = await formats.open(new MemoryStorage(image));
  const bytes = new Uint8Array(disk.length);
  await opened.read(bytes, 0);
  assert.deepEqual(bytes, disk);
  await opened.close();
});

test("is below a qcow2 image, which keeps what is written", async () => {
  const base = await packDisk(makeDisk());
  const backing = await deflatedBlocks.open(new MemoryStorage(base));
  const storage = new MemoryStorage();
  const top = await qcow2.create(storage, {
    size: 300_032,
    backing,
    backingFile: { name: "base.zblocks", format: "zblocks" },
  });
  await top.write(Uint8Array.of(1, 2, 3), 1001);
  await top.flush();
  const overlay = storage.toUint8Array();
  await top.close();
  await backing.close();

  const gate = gateFromFunctions({
    openStorage: () => assert.fail("there is no data file"),
    openImage: ({ format = "", chain }) => formats.open(new MemoryStorage(base), { format, chain, gate }),
  });
  const again = await formats.open(new MemoryStorage(overlay), { gate });
  const bytes = new Uint8Array(6);
  await again.read(bytes, 999);
  assert.deepEqual([...bytes], [0, 7, 1, 2, 3, 7]);
  await again.close();
});

test("isn't for those who can't wait, and says so", async () => {
  const storage = new MemoryStorage(await packDisk(makeDisk()));
  const image = runSync(deflatedBlocks.openIo(storage));
  assert.throws(() => runSync(image.io.read(IoVector.single(new Uint8Array(1)), 0)), {
    code: "ERR_IMG_ASYNC_ONLY",
    message: /zblocks/,
  });
  await image.close();
});

test("data that doesn't inflate to a block is refused, however much it would be", async () => {
  const image = await packDisk(new Uint8Array(65536).fill(1));
  const bomb = await packDisk(new Uint8Array(131072).fill(1), { blockSize: 131072 });
  const view = new DataView(bomb.buffer);
  view.setUint32(8, 65536, true);
  view.setBigUint64(16, 65536n, true);
  for (const bytes of [image.fill(0xff, -8), bomb]) {
    const opened = await deflatedBlocks.open(new MemoryStorage(bytes));
    await assert.rejects(opened.read(new Uint8Array(10), 0), { code: "ERR_IMG_CORRUPT" });
    await opened.close();
  }
});
