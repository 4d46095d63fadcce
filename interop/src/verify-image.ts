import { deepStrictEqual } from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { compare, convert, info, map, qemuInfo as ourInfo, qemuMapEntry } from "@img/operations";
import { convertImages, type ImageSpec } from "@img/operations/node";
import { raw } from "@img/raw";
import { revertedCopy, type BuiltImage, type BuiltSnapshot } from "./build-image.ts";
import { expectBytes } from "./expect-bytes.ts";
import { accesses, closeBuiltImage, openBuiltImage, type OpenBuiltOptions } from "./open-built-image.ts";
import { qemuContents, qemuInfo, qemuMap } from "./qemu-img.ts";
import type { Random } from "./random.ts";
import { expectedOfRead, oddReads, readWholeAsync, readWholeSync, scattered } from "./read-everything.ts";
import type { Tally } from "./tally.ts";

/** What the comparisons of one image need. */
export interface Verification {
  readonly clusterSize: number;
  /** A path for a file that the comparisons make. */
  readonly scratch: (name: string) => string;
  readonly random: Random;
  readonly tally: Tally;
}

/** Compares everything that we say about an image with what the real tools say. Throws at the first difference. */
export async function verifyImage(image: BuiltImage, verification: Verification): Promise<void> {
  const { random } = verification;
  const contents = qemuContents(image.name, verification.scratch("oracle.raw"));
  const options: OpenBuiltOptions = {
    access: random.pick(accesses),
    // caches that hold nearly nothing, in half of the cases
    ...(random.chance(0.5) ? { l2CacheSize: 4096, clusterCacheSize: 1 } : {}),
  };
  await using access = await opened(image, options);
  await verifyReads(access.image, contents, verification);
  await verifyMappings(access.image, contents, verification);
  await verifyMap(image, access.image, verification);
  await verifyConvert(access.image, contents, verification);
  await verifyConvertImages(image, contents, verification);
  await verifyCompare(access.image, contents, verification);
  await verifyInfo(image, verification);
  for (const snapshot of image.snapshots) {
    await verifySnapshot(image, snapshot, verification);
  }
}

/** An open image that `await using` closes with everything below. */
async function opened(
  image: BuiltImage,
  options: OpenBuiltOptions,
): Promise<AsyncDisposable & { readonly image: FormatAccess }> {
  const access = await openBuiltImage(image, options);
  return { image: access, [Symbol.asyncDispose]: () => closeBuiltImage(image, access) };
}

/** Whole disk and odd ranges, in both worlds. */
async function verifyReads(access: FormatAccess, contents: Uint8Array, verification: Verification): Promise<void> {
  const { clusterSize, random, tally } = verification;
  const request = random.pick([clusterSize, 4096, 100_000, 1 << 20, access.size]);
  const worksSync = access.storages().every((storage) => "readSync" in storage && storage.readSync !== undefined);
  expectBytes(await readWholeAsync(access, Math.max(request, 4096)), contents, "whole disk, asynchronously");
  tally.add("whole disk async");
  if (worksSync) {
    expectBytes(readWholeSync(access, Math.max(request, 4096)), contents, "whole disk, synchronously");
    tally.add("whole disk sync");
  }
  const reads = oddReads(access.size, clusterSize, 32, random);
  await Promise.all(
    reads.map(async (read) => {
      const buffer = new Uint8Array(read.length).fill(0xaa);
      await access.readv(scattered(buffer, read.buffers), read.offset);
      const what = `${String(read.length)} bytes in ${String(read.buffers)} buffers`;
      expectBytes(buffer, expectedOfRead(contents, read), what, read.offset);
    }),
  );
  tally.add("odd reads async");
  if (worksSync) {
    for (const read of reads) {
      const buffer = new Uint8Array(read.length).fill(0xaa);
      runSync(access.io.read(scattered(buffer, read.buffers), read.offset));
      expectBytes(buffer, expectedOfRead(contents, read), "an odd read, synchronously", read.offset);
    }
    tally.add("odd reads sync");
  }
}

/** The bytes that every mapping points at are those of the disk. */
async function verifyMappings(access: FormatAccess, contents: Uint8Array, verification: Verification): Promise<void> {
  let at = 0;
  for await (const mapping of access.mappings()) {
    const expected = contents.subarray(at, at + mapping.length);
    if (mapping.guestOffset !== at || expected.length !== mapping.length) {
      throw new Error(
        `mapping of ${String(mapping.length)} bytes at ${String(mapping.guestOffset)}, after ${String(at)}`,
      );
    }
    const actual = new Uint8Array(mapping.length);
    if (mapping.kind === "raw") {
      await mapping.storage.read(IoVector.single(actual), mapping.offset);
    } else if (mapping.kind === "special") {
      await mapping.layer.read(actual, mapping.offset);
    }
    expectBytes(actual, expected, `a ${mapping.kind} mapping`, at);
    at += mapping.length;
  }
  if (at !== contents.length) {
    throw new Error(`the mappings end at ${String(at)} of ${String(contents.length)}`);
  }
  verification.tally.add("mappings");
}

async function verifyMap(image: BuiltImage, access: FormatAccess, verification: Verification): Promise<void> {
  const entries: unknown[] = [];
  for await (const entry of map(access)) {
    entries.push(qemuMapEntry(entry));
  }
  deepStrictEqual(entries, qemuMap(image.name), "map");
  verification.tally.add("map");
}

async function verifyConvert(access: FormatAccess, contents: Uint8Array, verification: Verification): Promise<void> {
  const storage = new MemoryStorage();
  const target = await raw.create(storage, { size: access.size });
  await convert([access], target, { sparse: verification.random.pick([0, 512, 4096, 65536]) });
  await target.flush();
  expectBytes(storage.toUint8Array(), contents, "converted to raw");
  await target.close();
  verification.tally.add("convert");
}

/** As the command line does it: from files to a file. */
async function verifyConvertImages(image: BuiltImage, contents: Uint8Array, verification: Verification): Promise<void> {
  const path = verification.scratch("converted.raw");
  await convertImages({
    sources: [imageSpec(image)],
    target: { path, format: "raw" },
    sparse: verification.random.pick([0, 4096, 65536]),
    sync: false,
  });
  expectBytes(readFileSync(path), contents, "converted to a raw file");
  rmSync(path);
  verification.tally.add("convert files");
}

function imageSpec(image: BuiltImage): ImageSpec {
  const { path, backing } = image;
  const spec: ImageSpec = { path, format: "qcow2", gate: "allow-all" };
  if (backing?.known !== "given") {
    return spec;
  }
  return { ...spec, backing: { path: backing.path, format: backing.format, gate: "allow-all" } };
}

/** Equal to the tool's own copy; not equal once one byte of that is changed. */
async function verifyCompare(access: FormatAccess, contents: Uint8Array, verification: Verification): Promise<void> {
  const copy = new MemoryStorage(contents);
  await using other = await raw.open(copy);
  const same = await compare(access, other);
  deepStrictEqual(same.identical, true, "compared with the tool's own copy");
  const at = verification.random.below(contents.length);
  copy.writeSync(IoVector.single(Uint8Array.of((contents[at] ?? 0) ^ 0x40)), at);
  const changed = await compare(access, other);
  if (changed.identical || changed.difference !== "content" || !isUnitAround(changed.offset, at)) {
    throw new Error(`compared with a copy whose byte ${String(at)} is changed: ${JSON.stringify(changed)}`);
  }
  verification.tally.add("compare");
}

/** Differences are told by units of 512 bytes, which are counted from where an odd raw image ended. */
function isUnitAround(unit: number, offset: number): boolean {
  return unit <= offset && offset < unit + 512;
}

async function verifyInfo(image: BuiltImage, verification: Verification): Promise<void> {
  const access = await openBuiltImage(image, { alone: true });
  try {
    const ours = ourInfo(await info(access, { filename: image.path }));
    deepStrictEqual(JSON.parse(JSON.stringify(ours)), qemuInfo(image.path, "qcow2"), "info");
    deepStrictEqual(JSON.stringify(ours), JSON.stringify(qemuInfo(image.path, "qcow2")), "order of the keys of info");
    verification.tally.add("info");
  } finally {
    await access.close();
  }
}

/** A snapshot's disk, by id and by name. */
async function verifySnapshot(image: BuiltImage, snapshot: BuiltSnapshot, verification: Verification): Promise<void> {
  const expected = snapshotContents(image, snapshot, verification);
  const selector = verification.random.pick([
    snapshot.id,
    { name: snapshot.name },
    { id: snapshot.id, name: snapshot.name },
  ]);
  const access = verification.random.pick(accesses);
  await using open = await opened(image, { snapshot: selector, access });
  expectBytes(await readWholeAsync(open.image, 1 << 20), expected, `snapshot ${snapshot.name}`);
  await verifyMappings(open.image, expected, verification);
  verification.tally.add("snapshot");
}

function snapshotContents(image: BuiltImage, snapshot: BuiltSnapshot, verification: Verification): Uint8Array {
  const scratch = verification.scratch("oracle.raw");
  if (snapshot.size === image.size) {
    return qemuContents(image.name, scratch, `snapshot.id=${snapshot.id}`);
  }
  // the tool reads a snapshot with the image's present size, but reverts to the snapshot's own
  const reverted = verification.scratch("reverted.qcow2");
  revertedCopy(image, snapshot, reverted);
  const contents = qemuContents(reverted, scratch);
  const cutOff = qemuContents(image.name, scratch, `snapshot.id=${snapshot.id}`);
  const common = Math.min(contents.length, cutOff.length);
  expectBytes(cutOff.subarray(0, common), contents.subarray(0, common), "the tool's own two ways to read a snapshot");
  return contents;
}
