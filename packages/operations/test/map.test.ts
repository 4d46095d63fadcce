import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { raw } from "@img/raw";
import { AsyncStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { map, qemuMapEntry, type MapEntry, type MapOptions } from "../src/index.ts";
import { MapReader } from "../src/map/map-reader.ts";
import { fakeImage, type FakeRun } from "./support/fake-image.ts";

const KiB = 1024;

async function entries(image: FormatAccess, options?: MapOptions): Promise<MapEntry[]> {
  const found: MapEntry[] = [];
  for await (const entry of map(image, options)) {
    found.push(entry);
  }
  return found;
}

/** Entries in few words: `start+length@depth what offset`. */
async function told(image: FormatAccess, options?: MapOptions): Promise<string[]> {
  return (await entries(image, options)).map((entry) => {
    const what = [
      entry.data ? "data" : "",
      entry.zero ? "zero" : "",
      entry.compressed ? "compressed" : "",
      entry.present ? "" : "absent",
    ];
    const place = entry.offset === undefined ? "" : ` at ${entry.offset}`;
    return `${entry.start}+${entry.length}@${entry.depth} ${what.filter((word) => word !== "").join(" ")}${place}`;
  });
}

function storage(length: number): MemoryStorage {
  return new MemoryStorage(new Uint8Array(length).fill(1));
}

describe("map", () => {
  it("joins neighbours that continue each other, and no others", async () => {
    const runs: FakeRun[] = [
      { kind: "data", length: 512, offset: 4096 },
      { kind: "data", length: 512, offset: 4608 },
      { kind: "data", length: 512, offset: 8192 },
      { kind: "zero", length: 512 },
      { kind: "zero", length: 512 },
      { kind: "none", length: 512 },
      { kind: "compressed", length: 512 },
      { kind: "compressed", length: 512 },
    ];
    expect(await told(fakeImage(runs, { storage: storage(9000) }))).toEqual([
      "0+1024@0 data at 4096",
      "1024+512@0 data at 8192",
      "1536+1024@0 zero",
      "2560+512@0 zero absent",
      "3072+1024@0 data compressed",
    ]);
  });

  it("gives the place that is reserved for zeroes", async () => {
    const runs: FakeRun[] = [
      { kind: "zero", length: 512, reserved: 1024 },
      { kind: "none", length: 512, reserved: 1536 },
    ];
    expect(await told(fakeImage(runs, { storage: storage(9000) }))).toEqual([
      "0+512@0 zero at 1024",
      "512+512@0 zero absent at 1536",
    ]);
  });

  it("looks below where a layer has nothing, and counts layers", async () => {
    const bottom = fakeImage(
      [
        { kind: "data", length: 1024, offset: 0 },
        { kind: "none", length: 1024 },
      ],
      { storage: storage(4096) },
    );
    const middle = fakeImage(
      [
        { kind: "none", length: 512 },
        { kind: "zero", length: 512 },
        { kind: "none", length: 1024 },
      ],
      { storage: storage(4096), backing: bottom },
    );
    const top = fakeImage(
      [
        { kind: "none", length: 1536 },
        { kind: "data", length: 512, offset: 512 },
      ],
      { storage: storage(4096), backing: middle },
    );
    expect(await told(top)).toEqual([
      "0+512@2 data at 0",
      "512+512@1 zero",
      "1024+512@2 zero absent",
      "1536+512@0 data at 512",
    ]);
  });

  it("says that what lies past a shorter image below is the upper layer's, and absent", async () => {
    const below = fakeImage([{ kind: "data", length: 1024, offset: 0 }], { storage: storage(4096) });
    const top = fakeImage([{ kind: "none", length: 4096, reserved: 8192 }], { storage: storage(4096), backing: below });
    expect(await told(top)).toEqual(["0+1024@1 data at 0", "1024+3072@0 zero absent at 9216"]);
  });

  it("cuts what a longer image below has more", async () => {
    const below = fakeImage([{ kind: "data", length: 8192, offset: 0 }], { storage: storage(8192) });
    const top = fakeImage([{ kind: "none", length: 1024 }], { storage: storage(4096), backing: below });
    expect(await told(top)).toEqual(["0+1024@1 data at 0"]);
  });

  it("finds the holes of a raw image", async () => {
    const memory = new MemoryStorage();
    memory.resizeSync?.(256 * KiB);
    await raw
      .open(memory, { writable: true })
      .then((image) => image.write(new Uint8Array(64 * KiB).fill(3), 128 * KiB));
    expect(await told(await raw.open(memory))).toEqual([
      "0+131072@0 zero at 0",
      "131072+65536@0 data at 131072",
      "196608+65536@0 zero at 196608",
    ]);
  });

  it("finds holes under the data of an image whose metadata was preallocated", async () => {
    const memory = new MemoryStorage();
    memory.resizeSync?.(128 * KiB);
    memory.writeSync(IoVector.single(new Uint8Array(64 * KiB).fill(3)), 0);
    const runs: FakeRun[] = [{ kind: "data", length: 192 * KiB, offset: 0 }];
    const holes = "65536+131072@0 data zero at 65536";
    expect(await told(fakeImage(runs, { storage: memory, sparse: true }))).toEqual(["0+65536@0 data at 0", holes]);
    expect(await told(fakeImage(runs, { storage: memory, sparse: false }))).toEqual(["0+196608@0 data at 0"]);
  });

  it("fills up the last sector of a raw image with zeroes", async () => {
    expect(await told(await raw.open(storage(1000)))).toEqual(["0+1000@0 data at 0", "1000+24@0 zero at 1000"]);
    expect(await told(await raw.open(storage(1000), { offset: 100 }))).toEqual([
      "0+900@0 data at 100",
      "900+124@0 zero at 1000",
    ]);
  });

  it("looks at a part only", async () => {
    const image = fakeImage([{ kind: "data", length: 4096, offset: 512 }], { storage: storage(8192) });
    expect(await told(image, { offset: 100, length: 50 })).toEqual(["100+50@0 data at 612"]);
    expect(await told(image, { offset: 4000, length: 5000 })).toEqual(["4000+96@0 data at 4512"]);
    expect(await told(image, { offset: 4096 })).toEqual([]);
    expect(await told(image, { offset: 9999 })).toEqual([]);
    expect(await told(image, { length: 0 })).toEqual([]);
  });

  it("has nothing to tell of an empty disk", async () => {
    expect(await told(await raw.open(new MemoryStorage()))).toEqual([]);
  });

  it("refuses offsets that are none", async () => {
    const image = fakeImage([], { storage: storage(1) });
    await expect(entries(image, { offset: -1 })).rejects.toThrow(RangeError);
    await expect(entries(image, { length: 0.5 })).rejects.toThrow(RangeError);
  });

  it("joins across its own steps, however many there are", async () => {
    const count = 5000;
    const runs: FakeRun[] = Array.from({ length: count }, (_, index) => ({
      kind: "data",
      length: 512,
      offset: index * 512,
    }));
    const asked = { count: 0 };
    expect(await told(fakeImage(runs, { storage: storage(1), asked }))).toEqual([`0+${count * 512}@0 data at 0`]);
    expect(asked.count).toBe(count);
  });

  it("works the same when the storage answers later, and in the synchronous world", async () => {
    const memory = new MemoryStorage(new Uint8Array(3 * 64 * KiB));
    memory.writeSync(IoVector.single(new Uint8Array(10).fill(1)), 70 * KiB);
    const expected = await entries(await raw.open(memory));
    const later = await entries(await raw.open(new AsyncStorage(memory)));
    expect(later.map(qemuMapEntry)).toEqual(expected.map(qemuMapEntry));
    const reader = new MapReader(await raw.open(memory));
    const found: MapEntry[] = [];
    while (!reader.isDone) {
      found.push(...runSync(reader.next()));
    }
    expect(found).toEqual(expected);
  });

  it("stops when it is aborted", async () => {
    const image = fakeImage([{ kind: "zero", length: 512 }], { storage: storage(1) });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(entries(image, { signal })).rejects.toThrow("enough");
  });

  it("gives everything back: the image can be closed afterwards", async () => {
    const image = await raw.open(storage(1024));
    for await (const entry of map(image)) {
      expect(entry.length).toBe(1024);
      break;
    }
    await image.close();
    await expect(entries(image)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });
});

describe("qemuMapEntry", () => {
  it("has qemu-img's keys in qemu-img's order", () => {
    const entry = { start: 0, length: 1, depth: 0, present: true, zero: false, data: true, compressed: true };
    expect(Object.keys(qemuMapEntry(entry))).toEqual(["start", "length", "depth", "present", "zero", "data"]);
  });
});
