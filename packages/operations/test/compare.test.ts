import { MemoryStorage, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { raw } from "@img/raw";
import { AsyncStorage, CountingStorage, FaultStorage } from "@img/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compare, CompareError, type CompareResult, type Progress } from "../src/index.ts";
import { fakeImage } from "./support/fake-image.ts";

const MiB = 1024 * 1024;

async function disk(bytes: Uint8Array | Storage): Promise<FormatAccess> {
  return await raw.open(bytes instanceof Uint8Array ? new MemoryStorage(bytes) : bytes);
}

function filled(length: number, changes: Readonly<Record<number, number>> = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) {
    bytes[at] = 1 + (at % 250);
  }
  for (const [at, value] of Object.entries(changes)) {
    bytes[Number(at)] = value;
  }
  return bytes;
}

async function compared(a: Uint8Array, b: Uint8Array, strict = false): Promise<CompareResult> {
  return await compare(await disk(a), await disk(b), { strict });
}

describe("compare", () => {
  it("finds equal contents identical", async () => {
    expect(await compared(filled(5 * MiB), filled(5 * MiB))).toEqual({ identical: true, sizeDiffers: false });
    expect(await compared(new Uint8Array(0), new Uint8Array(0))).toEqual({ identical: true, sizeDiffers: false });
  });

  it.each([0, 1, 511, 512, 513, 65535, 2 * MiB - 1, 2 * MiB, 2 * MiB + 1, 5 * MiB - 1])(
    "finds a difference in byte %i, and names its sector",
    async (at) => {
      expect(await compared(filled(5 * MiB), filled(5 * MiB, { [at]: 0xff }))).toEqual({
        identical: false,
        difference: "content",
        offset: at - (at % 512),
        sizeDiffers: false,
        pastEnd: false,
      });
    },
  );

  it("accepts zeroes past the end of the shorter disk", async () => {
    const long = new Uint8Array(3 * MiB);
    long.set(filled(MiB));
    expect(await compared(filled(MiB), long)).toEqual({ identical: true, sizeDiffers: true });
    expect(await compared(long, filled(MiB))).toEqual({ identical: true, sizeDiffers: true });
  });

  it("finds what isn't zero past the end of the shorter disk", async () => {
    const long = new Uint8Array(3 * MiB);
    long.set(filled(MiB));
    long[2 * MiB + 700] = 1;
    const found = { identical: false, difference: "content", offset: 2 * MiB + 512, sizeDiffers: true, pastEnd: true };
    expect(await compared(filled(MiB), long)).toEqual(found);
    expect(await compared(long, filled(MiB))).toEqual(found);
  });

  it("measures disks in sectors", async () => {
    expect(await compared(filled(1000), filled(1024, Object.fromEntries(zeroesFrom(1000, 24))), true)).toMatchObject({
      difference: "status",
    });
    expect(await compared(filled(1000), filled(1024, Object.fromEntries(zeroesFrom(1000, 24))))).toEqual({
      identical: true,
      sizeDiffers: false,
    });
  });

  it("names the end of an odd raw disk for what differs behind it in its last sector, as qemu-img does", async () => {
    const b = filled(1024, Object.fromEntries(zeroesFrom(1000, 24)));
    b[1010] = 5;
    expect(await compared(filled(1000), b)).toMatchObject({ identical: false, offset: 1000 });
  });

  it.each([
    ["behind the sector that it ends in", 1000, 4096, 1100, 1024, true],
    ["far behind", 1000, 2 * 1024 * 1024, 2 * 1024 * 1024 - 1, 2 * 1024 * 1024 - 512, true],
    ["in a later sector of an odd end, too", 700, 1512, 1511, 1024, true],
    ["in what fills up the sector", 1000, 4096, 1023, 1000, false],
    ["before its end", 1000, 4096, 600, 512, false],
  ])(
    "names the sector of a difference where an odd raw disk ends: %s",
    async (_what, ends, size, at, offset, pastEnd) => {
      const longer = new Uint8Array(size);
      longer[at] = 1;
      const expected = { identical: false, difference: "content", offset, sizeDiffers: true, pastEnd };
      expect(await compared(new Uint8Array(ends), longer)).toEqual(expected);
      expect(await compared(longer, new Uint8Array(ends))).toEqual(expected);
    },
  );

  it("compares sizes when strict", async () => {
    expect(await compared(new Uint8Array(512), new Uint8Array(1024), true)).toEqual({
      identical: false,
      difference: "size",
      offset: 0,
      sizeDiffers: true,
      pastEnd: false,
    });
  });

  it("compares allocation when strict", async () => {
    const zeroes = (explicit: boolean): FormatAccess =>
      fakeImage(
        [
          { kind: "data", length: 512, offset: 0 },
          { kind: explicit ? "zero" : "none", length: 512 },
        ],
        { storage: new MemoryStorage(filled(1024)) },
      );
    expect(await compare(zeroes(true), zeroes(true), { strict: true })).toMatchObject({ identical: true });
    expect(await compare(zeroes(true), zeroes(false))).toMatchObject({ identical: true });
    expect(await compare(zeroes(true), zeroes(false), { strict: true })).toEqual({
      identical: false,
      difference: "status",
      offset: 512,
      sizeDiffers: false,
      pastEnd: false,
    });
  });

  it("reads nothing where both are zero, and only one where the other is", async () => {
    const [a, b] = [new CountingStorage(new MemoryStorage()), new CountingStorage(new MemoryStorage())];
    a.resizeSync?.(64 * MiB);
    b.resizeSync?.(64 * MiB);
    b.inner.writeSync(IoVector.single(new Uint8Array(4096)), 32 * MiB);
    expect(await compare(await disk(a), await disk(b))).toMatchObject({ identical: true });
    expect(a.counts.read.bytes).toBe(0);
    expect(b.counts.read.bytes).toBeLessThanOrEqual(64 * 1024);
  });

  it("doesn't read what both have in the same place", async () => {
    const shared = new CountingStorage(new MemoryStorage(filled(MiB)));
    const below = await disk(shared);
    const overlay = (): FormatAccess =>
      fakeImage([{ kind: "none", length: MiB }], { storage: new MemoryStorage(), backing: below });
    expect(await compare(overlay(), overlay())).toMatchObject({ identical: true });
    expect(shared.counts.read.calls).toBe(0);
  });

  it("reads in large pieces", async () => {
    const counting = new CountingStorage(new MemoryStorage(filled(16 * MiB)));
    await compare(await disk(counting), await disk(filled(16 * MiB)));
    expect(counting.counts.read.calls).toBe(32);
  });

  it("tells which image can't be read, and where", async () => {
    const faulty = new FaultStorage(new MemoryStorage(filled(8 * MiB)), [{ on: "read", nth: 3 }]);
    const error = await compare(await disk(filled(8 * MiB)), await disk(faulty)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CompareError);
    expect(error).toMatchObject({
      code: "EIO",
      failure: { operation: "read", image: "second", offset: MiB },
    });
  });

  it("tells which image's allocation can't be read", async () => {
    const faulty = new FaultStorage(new MemoryStorage(filled(MiB)), [{ on: "extents" }]);
    await expect(compare(await disk(faulty), await disk(filled(MiB)))).rejects.toMatchObject({
      failure: { operation: "map", image: "first", offset: 0 },
    });
  });

  it("reports progress up to the end", async () => {
    const seen: Progress[] = [];
    await compare(await disk(filled(6 * MiB)), await disk(filled(6 * MiB)), {
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen.map(({ done }) => done)).toEqual(Array.from({ length: 13 }, (_, index) => (index * MiB) / 2));
    expect(new Set(seen.map(({ total }) => total))).toEqual(new Set([6 * MiB]));
  });

  it("stops when it is aborted", async () => {
    const controller = new AbortController();
    const running = compare(await disk(filled(6 * MiB)), await disk(filled(6 * MiB)), {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done > 0) {
          controller.abort(new Error("enough"));
        }
      },
    });
    await expect(running).rejects.toThrow("enough");
  });

  it("compares storages that answer later", async () => {
    const later = await disk(new AsyncStorage(new MemoryStorage(filled(3 * MiB))));
    expect(await compare(later, await disk(filled(3 * MiB)))).toMatchObject({ identical: true });
    expect(await compare(later, await disk(filled(3 * MiB, { [MiB]: 0 })))).toMatchObject({ offset: MiB });
  });

  it("agrees with comparing byte by byte", async () => {
    const bytes = fc
      .array(fc.record({ value: fc.constantFrom(0, 0, 1, 2), length: fc.integer({ min: 1, max: 9000 }) }), {
        maxLength: 12,
      })
      .map((runs) => Uint8Array.from(runs.flatMap(({ value, length }) => new Array<number>(length).fill(value))));
    await fc.assert(
      fc.asyncProperty(bytes, bytes, fc.nat(), async (a, b, at) => {
        const changed = a.slice();
        if (changed.length > 0) {
          changed[at % changed.length]! ^= 1;
        }
        for (const other of [a, b, changed]) {
          expect(await compared(a, other)).toMatchObject(expected(a, other));
        }
      }),
      { numRuns: 60 },
    );
  });
});

function expected(a: Uint8Array, b: Uint8Array): Partial<CompareResult> {
  const length = Math.ceil(Math.max(a.length, b.length) / 512) * 512;
  for (let at = 0; at < length; at++) {
    if ((a[at] ?? 0) !== (b[at] ?? 0)) {
      return { identical: false };
    }
  }
  return { identical: true };
}

function zeroesFrom(start: number, length: number): [number, number][] {
  return Array.from({ length }, (_, index) => [start + index, 0]);
}
