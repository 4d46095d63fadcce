import { MemoryStorage } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { expect, test } from "vitest";
import { storageExport } from "../../src/index.ts";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import type { StatusExtent } from "../../src/protocol/chunk-payload.ts";
import { chunkTypes, commandFlags, commands } from "../../src/protocol/transmission-numbers.ts";
import { alignExtents, everywhere, mergeOf } from "../../src/server/align-extents.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import type { Probe } from "../conformance/probe.ts";
import { join, use } from "../helpers/in-process.ts";

const block = 65536;
const size = 16 * block;
const data = 0;
const hole = 3;
const blockSize = { minimum: block, preferred: block, maximum: 32 * 1024 * 1024 };

test("what holds for parts of a block holds for all of it or for none, and what isn't known to its end is left out", () => {
  const extents: StatusExtent[] = [
    { length: 2 * block + 100, flags: hole },
    { length: 50, flags: data },
    { length: block - 150, flags: hole },
    { length: block, flags: hole },
    { length: 10, flags: 2 },
    { length: block - 10, flags: hole },
    { length: block - 1, flags: data },
  ];
  expect(alignExtents(extents, block, everywhere)).toEqual([
    { length: 2 * block, flags: hole },
    { length: block, flags: data },
    { length: block, flags: hole },
    { length: block, flags: 2 },
  ]);
  expect(alignExtents(extents, 1, everywhere)).toBe(extents);
});

test("a block that is dirty in part is dirty, and lies in the layer that is farthest down", () => {
  const mixed: StatusExtent[] = [
    { length: 512, flags: 0 },
    { length: 512, flags: 1 },
    { length: 1024, flags: 2 },
  ];
  const [dirty] = alignExtents(mixed, 2048, mergeOf("qemu:dirty-bitmap:b"));
  const [deep] = alignExtents(mixed, 2048, mergeOf("qemu:allocation-depth"));
  expect([dirty?.flags, deep?.flags]).toEqual([3, 2]);
});

/** All of it reads as zero but 4 KiB, 4 KiB behind a block's start; what is known comes in pieces of 10000 bytes. */
function sparseExport(): NbdExport {
  const at = 4 * block + 4096;
  const flagsAt = (offset: number): number => (offset >= at && offset < at + 4096 ? data : hole);
  const status = (offset: number, length: number, one: boolean): StatusExtent[] => {
    const extents: { length: number; flags: number }[] = [];
    for (let known = 0; known < Math.min(length, 10_000); known += 16) {
      const flags = flagsAt(offset + known);
      const last = extents.at(-1);
      if (last?.flags === flags) {
        last.length += 16;
      } else if (last !== undefined && one) {
        break;
      } else {
        extents.push({ length: 16, flags });
      }
    }
    return extents;
  };
  const read = (into: IoVector): void => {
    into.fill(7);
  };
  return { size, writable: false, blockSize, read, contexts: [{ name: "base:allocation", status }] };
}

/** A client of {@link sparseExport} that has selected its context. */
async function sparseClient(): Promise<Probe> {
  const { probe } = await join(new NbdServer(new Map([["disk", sparseExport()]])));
  await probe.option(optionTypes.structuredReply);
  await probe.select("disk", ["base:allocation"]);
  await probe.info(optionTypes.go, "disk");
  probe.style = "structured";
  return probe;
}

test.each([0, commandFlags.reqOne])(
  "answers about extents are multiples of the shortest request, with flags %i",
  async (flags) => {
    const probe = await sparseClient();
    let found: StatusExtent[] = [];
    for (let at = 0; at < size;) {
      const { status, error } = await probe.call({ type: commands.blockStatus, flags, offset: at, length: size - at });
      expect(error).toBeUndefined();
      const extents = status[0]?.extents ?? [];
      expect(extents.every(({ length }) => length > 0 && length % block === 0)).toBe(true);
      at += extents.reduce((sum, { length }) => sum + length, 0);
      found = [
        ...found,
        ...extents.flatMap((extent) => Array<StatusExtent>(extent.length / block).fill({ ...extent, length: block })),
      ];
    }
    expect(found.map(({ flags: each }) => each)).toEqual(
      Array.from({ length: 16 }, (_, index) => (index === 4 ? data : hole)),
    );
  },
);

test("reads leave out whole blocks only", async () => {
  const storage = new MemoryStorage(new Uint8Array(size).fill(7));
  const whole: NbdExport = {
    ...storageExport(storage, { blockSize }),
    contexts: [
      {
        name: "base:allocation",
        status: () => [
          { length: block + 8192, flags: data },
          { length: block, flags: hole },
          { length: 2 * block - 8192, flags: hole },
          { length: 12 * block, flags: data },
        ],
      },
    ],
  };
  const { probe } = await use(new NbdServer(new Map([["disk", whole]])));
  const { chunks, data: bytes } = await probe.call({ type: commands.read, offset: 0, length: size });
  expect(chunks).toEqual([chunkTypes.offsetData, chunkTypes.offsetHole, chunkTypes.offsetData]);
  expect([bytes.indexOf(0), bytes.lastIndexOf(0)]).toEqual([2 * block, 4 * block - 1]);
});

test("block sizes that can't be are refused when an export is made", () => {
  const storage = new MemoryStorage(new Uint8Array(size));
  for (const wrong of [
    { ...blockSize, minimum: 3 },
    { ...blockSize, minimum: 2 * block, preferred: 2 * block },
    { ...blockSize, preferred: 4096 },
    { ...blockSize, preferred: 100_000 },
    { ...blockSize, maximum: 4096 },
    { ...blockSize, maximum: block + 1 },
    { ...blockSize, maximum: NaN },
  ]) {
    expect(() => storageExport(storage, { blockSize: wrong })).toThrow(RangeError);
    expect(() => new NbdServer(new Map([["", { ...storageExport(storage), blockSize: wrong }]]))).toThrow(RangeError);
  }
  expect(storageExport(storage, { blockSize: { ...blockSize, maximum: 3 * block } }).size).toBe(size);
});
