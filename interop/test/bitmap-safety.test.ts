import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import {
  addBitmap,
  clearBitmap,
  dirtyExtentsSync,
  disableBitmap,
  listBitmaps,
  mergeBitmap,
  removeBitmap,
} from "@img/operations";
import { checkImage, qcow2, type DirtyExtent, type Qcow2Image } from "@img/qcow2";
import { FaultPlan, FaultStorage, RecordingStorage } from "@img/testing";
import { describe, expect, test } from "vitest";
import { openWritable } from "../src/written-image.ts";

const size = 300_032;
const backingFile = "below.raw";

type Image = FormatAccess<Qcow2Image>;

/** What changes bitmaps alone: the image has the old ones or the new ones. */
const changes: Readonly<Record<string, (image: Image) => Promise<void>>> = {
  "adding one": (image) => addBitmap(image, { name: "new", granularity: 512 }),
  "removing one": (image) => removeBitmap(image, "fine"),
  "clearing one": (image) => clearBitmap(image, "fine"),
  "disabling one": (image) => disableBitmap(image, "fine"),
  "merging two": (image) => mergeBitmap(image, "fine", { name: "coarse" }),
};

/** What changes the disk, and the bitmaps with it when the image is closed. */
const writes: Readonly<Record<string, (image: Image) => Promise<void>>> = {
  writing: async (image) => {
    await image.write(new Uint8Array(3000).fill(9), 100_000);
    await image.flush();
    await image.writeZeroes(200_000, 10_000);
    await image.sync();
    await image.write(new Uint8Array(3000).fill(8), 290_000);
  },
  discarding: (image) => image.discardToZero(0, 70_000),
  growing: async (image) => {
    await image.resize(size * 4);
    await image.write(new Uint8Array(3000).fill(7), size * 3);
  },
  shrinking: (image) => image.resize(40_448),
};

async function makeImage(clusterSize: number): Promise<MemoryStorage> {
  const memory = new MemoryStorage();
  const image = await qcow2.create(memory, {
    size,
    clusterSize,
    backingFile: { name: backingFile, format: "raw" },
    backing: null,
  });
  await addBitmap(image, { name: "fine", granularity: 512 });
  await addBitmap(image, { name: "coarse", granularity: 16384 });
  await image.write(new Uint8Array(30_000).fill(1), 10_000);
  await addBitmap(image, { name: "still", granularity: 1024 });
  await image.write(new Uint8Array(7000).fill(2), 60_000);
  await disableBitmap(image, "still");
  await image.close();
  return memory;
}

function copyOf(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(storage.toUint8Array());
}

/** Everything that can be read, read with nothing written. */
interface Contents {
  readonly disk: Uint8Array;
  /** By name; `undefined`: it means nothing. */
  readonly bitmaps: Readonly<Record<string, { readonly auto: boolean; readonly extents: DirtyExtent[] } | undefined>>;
}

function readContents(storage: MemoryStorage): Contents {
  const image = runSync(qcow2.openIo(copyOf(storage), { backing: null }));
  expect(image.driver.info.backingFile).toBe(backingFile);
  const disk = new Uint8Array(image.size);
  runSync(image.io.read(IoVector.from(disk), 0));
  const bitmaps = listBitmaps(image).map(({ name, inUse, auto }) => {
    return [name, inUse ? undefined : { auto, extents: [...dirtyExtentsSync(image, name)] }] as const;
  });
  return { disk, bitmaps: Object.fromEntries(bitmaps) };
}

/** Clusters may be counted too often, and thought to be shared that aren't; nothing else may be wrong. */
function expectUsable(storage: MemoryStorage, what: string): void {
  const { findings, checkErrors } = runSync(checkImage(copyOf(storage)));
  const worse = findings.filter(({ kind }) => kind !== "leak" && kind !== "copied-flag");
  expect({ worse, checkErrors }, what).toEqual({ worse: [], checkErrors: 0 });
}

function differs(a: Uint8Array, b: Uint8Array, start: number, end: number): boolean {
  return Buffer.compare(a.subarray(start, end), b.subarray(start, end)) !== 0;
}

/** What a bitmap calls clean is what it was. */
function expectCovered(before: Contents, found: Contents, what: string): void {
  for (const [name, bitmap] of Object.entries(found.bitmaps)) {
    if (bitmap === undefined) {
      expect(name, what).not.toBe("nothing");
      continue;
    }
    if (name === "still") {
      // records nothing: it never changes but for the disk's size
      const both = Math.min(before.disk.length, found.disk.length);
      const cut = (extents: DirtyExtent[]): DirtyExtent[] =>
        extents.flatMap((each) =>
          each.offset >= both || !each.dirty ? [] : [{ ...each, length: Math.min(each.length, both - each.offset) }],
        );
      expect(cut(bitmap.extents), what).toEqual(cut(before.bitmaps["still"]!.extents));
      continue;
    }
    for (const { offset, length, dirty } of bitmap.extents) {
      const end = Math.min(offset + length, before.disk.length);
      if (!dirty && end > offset) {
        expect(differs(before.disk, found.disk, offset, end), `${name} at ${String(offset)}: ${what}`).toBe(false);
      }
    }
    const was = before.bitmaps[name]!.extents.filter((each) => each.dirty && each.offset < found.disk.length);
    for (const { offset } of was) {
      expect(
        bitmap.extents.some((each) => each.dirty && each.offset <= offset && offset < each.offset + each.length),
        what,
      ).toBe(true);
    }
  }
}

function open(storage: Parameters<typeof openWritable>[0]): Promise<Image> {
  return openWritable(storage, { backing: null });
}

describe.each([512, 4096])("with clusters of %d bytes", (clusterSize) => {
  test.each(Object.keys(changes))(
    "%s: a power cut at any moment leaves the old bitmaps or the new ones",
    async (change) => {
      const initial = await makeImage(clusterSize);
      const before = readContents(initial);
      const recorder = new RecordingStorage(copyOf(initial));
      const image = await open(recorder);
      await changes[change]!(image);
      recorder.recording.mark("done");
      await image.close();
      const last = [...recorder.recording.states({ subsets: 0 })].at(-1)!.storages[0]!;
      const after = readContents(last);
      expect(after).not.toEqual(before);
      expect(runSync(checkImage(copyOf(last))).findings).toEqual([]);
      for (const state of recorder.recording.states({ seed: 1, subsets: 4 })) {
        const [storage] = state.storages as [MemoryStorage];
        expectUsable(storage, state.description);
        const found = readContents(storage);
        const isOld = JSON.stringify(found.bitmaps) === JSON.stringify(before.bitmaps);
        if (!isOld || state.marks.includes("done")) {
          expect(found.bitmaps, state.description).toEqual(after.bitmaps);
        }
      }
    },
  );

  test.each(Object.keys(writes))(
    "%s: a power cut at any moment leaves bitmaps that are right, or mean nothing",
    async (write) => {
      const initial = await makeImage(clusterSize);
      const before = readContents(initial);
      const recorder = new RecordingStorage(copyOf(initial));
      const image = await open(recorder);
      await writes[write]!(image);
      await image.close();
      const last = [...recorder.recording.states({ subsets: 0 })].at(-1)!.storages[0]!;
      const after = readContents(last);
      expect(Object.values(after.bitmaps).every((bitmap) => bitmap !== undefined)).toBe(true);
      expectCovered(before, after, "at the end");
      expect(runSync(checkImage(copyOf(last))).findings).toEqual([]);
      for (const state of recorder.recording.states({ seed: 1, subsets: 2 })) {
        const [storage] = state.storages as [MemoryStorage];
        expectUsable(storage, state.description);
        expectCovered(before, readContents(storage), state.description);
      }
    },
  );
});

test.each([...Object.keys(changes), ...Object.keys(writes)])(
  "%s: whichever call of the storage fails, no bitmap is wrong",
  async (what) => {
    const initial = await makeImage(4096);
    const before = readContents(initial);
    const finished = copyOf(initial);
    const whole = await open(finished);
    await (changes[what] ?? writes[what])!(whole);
    await whole.close();
    const after = readContents(finished);
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const memory = copyOf(initial);
      const plan = new FaultPlan();
      const image = await open(new FaultStorage(memory, plan));
      plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
      const work = async (): Promise<void> => {
        await (changes[what] ?? writes[what])!(image);
      };
      const failed = await work().then(
        () => false,
        () => true,
      );
      const met = plan.faults.length > 0;
      await image.close().catch(() => undefined);
      expectUsable(memory, `call ${String(nth)}`);
      const found = readContents(memory);
      if (what in writes) {
        expectCovered(before, found, `call ${String(nth)}`);
      } else {
        expect(differs(before.disk, found.disk, 0, size)).toBe(false);
        const expected = failed ? [before, after] : [after];
        expect(
          expected.map(({ bitmaps }) => JSON.stringify(bitmaps)),
          `call ${String(nth)}`,
        ).toContain(JSON.stringify(found.bitmaps));
      }
      if (plan.faults.length === 0) {
        expect(failed).toBe(false);
        break;
      }
      if (met && !failed) {
        expect(what in writes).toBe(true);
      }
      failures++;
    }
    expect(failures).toBeGreaterThan(2);
  },
);
