// A small program that needs every package: writes an image, reads it again in both worlds, and describes, checks and converts it.
import { deepEqual, equal, rejects } from "node:assert/strict";
import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import { FormatRegistry, ImgError, MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { compare, info } from "@img/operations";
import { convertImages, openImage } from "@img/operations/node";
import { checkQcow2, qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { formatExport } from "@img/nbd";
import { blobStorage } from "@img/storage-adapters";
import { FileStorage } from "@img/storage-fs";
import { createSync, openSync } from "@img/sync";
import { storageSuite } from "@img/testing";

const text = new TextEncoder().encode("as strangers do");
const size = 8 * 2 ** 20;

const disk = await qcow2.create(await FileStorage.create("disk.qcow2"), { size });
await disk.writev(new IoVector([text.subarray(0, 3), text.subarray(3)]), 70_000);
await disk.writeCompressed(new Uint8Array(65_536).fill(7), 2 ** 20);
deepEqual((await checkQcow2(disk)).corruptions, 0);
await disk.close();

const again = await qcow2.open(await FileStorage.open("disk.qcow2"));
const buffer = new Uint8Array(text.length);
await again.read(buffer, 70_000);
deepEqual(buffer, text);
const { format, virtualSize } = await info(again);
deepEqual({ format, virtualSize }, { format: "qcow2", virtualSize: size });
equal(formatExport(again).size, size);
await again.close();

const fromBlob = await qcow2.open(blobStorage(await openAsBlob("disk.qcow2")));
await fromBlob.read(buffer.fill(0), 70_000);
deepEqual(buffer, text);
await fromBlob.close();

const file = await FileStorage.open("disk.qcow2");
const atOnce = openSync(qcow2, file);
atOnce.read(buffer.fill(0), 70_000);
deepEqual(buffer, text);
atOnce.close();

const inMemory = createSync(raw, new MemoryStorage(), { size: 4096 });
inMemory.write(text, 100);
inMemory.read(buffer.fill(0), 100);
deepEqual(buffer, text);
inMemory.close();

await convertImages({ sources: [{ path: "disk.qcow2" }], target: { path: "disk.raw", format: "raw" }, threads: 2 });
const bytes = await readFile("disk.raw");
equal(bytes.length, size);
deepEqual(new Uint8Array(bytes.subarray(70_000, 70_000 + text.length)), text);
equal(bytes[2 ** 20 + 65_535], 7);

const formats = new FormatRegistry([qcow2, raw]);
const [one, other] = [
  await openImage({ path: "disk.qcow2" }, { formats }),
  await openImage({ path: "disk.raw", format: "raw" }),
];
equal((await compare(one, other)).identical, true);
await one.close();
await other.close();

await rejects(qcow2.open(new MemoryStorage(new Uint8Array(512))), (error) => error instanceof ImgError);
const able = { resizes: true, zeroes: true, discards: true, extents: true, allocatedSize: true, invalidates: true };
const cases = storageSuite({ create: (contents) => new MemoryStorage(contents) }, { ...able, sync: true, programs: 1 });
equal(cases.length > 20, true);
for (const { run } of cases.slice(0, 20)) await run();

console.log("all well");
