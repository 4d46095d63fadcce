import { isImgError, MemoryStorage, runAsync, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { CountingStorage, FaultPlan, FaultStorage, RecordingStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { checkImage, qcow2, serializeHeader, type BackingReference, type Qcow2Image } from "../src/index.ts";
import { loadHeader } from "../src/header/load-header.ts";

/** What a header says, without where it says it. */
interface Said {
  readonly name: string | undefined;
  readonly format: string | undefined;
  readonly names: number;
  readonly rest: string;
}

function said(storage: MemoryStorage): Said {
  const { header, known, backingName, extensions } = runSync(loadHeader(copyOf(storage)));
  const {
    backingFileOffset: _offset,
    backingFileSize: _size,
    headerLength: _length,
    unknownFields: _fields,
    ...rest
  } = header;
  const others = extensions.filter(({ type }) => type === 0x1234).map(({ data }) => [...data]);
  return {
    name: backingName,
    format: known.backingFormat,
    names: known.featureNames.length,
    rest: JSON.stringify([rest, others]),
  };
}

interface Made {
  readonly storage: MemoryStorage;
  readonly clusterSize: number;
}

async function make(random: SeededRandom): Promise<Made> {
  const storage = new MemoryStorage();
  const clusterSize = random.pick([512, 1024, 4096, 8192, 65536]);
  const compat = random.pick(["0.10", "1.1", "1.1"] as const);
  const backed = random.chance(0.6);
  const image = await qcow2.create(storage, {
    size: 10 * 65536,
    clusterSize,
    compat,
    ...(backed ? { backing: null, backingFile: randomBacking(random, 300) } : {}),
  });
  await image.write(new Uint8Array(3000).fill(7), 5000);
  await image.close();
  return { storage: copyOf(storage), clusterSize };
}

function randomBacking(random: SeededRandom, longest: number): BackingReference {
  return {
    name: random.pick(["a", "b", "c", "d"]).repeat(random.integer(1, longest)),
    format: random.pick(["raw", "qcow2", "a-long-format-x"]),
  };
}

function copyOf(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(storage.toUint8Array());
}

function open(storage: Storage): Promise<FormatAccess<Qcow2Image>> {
  return qcow2.open(storage, { writable: true, backing: null });
}

function change(image: FormatAccess<Qcow2Image>, backing: BackingReference | null): Promise<void> {
  return runAsync(image.io.exclusive(() => image.driver.changeBacking(backing)));
}

function expectSound(storage: MemoryStorage, what: string): void {
  expect(runSync(checkImage(copyOf(storage))).findings, what).toEqual([]);
}

describe("another image below", () => {
  it("is named all at once, wherever a power cut comes", async () => {
    let aside = 0;
    let refused = 0;
    for (let seed = 1; seed <= 80; seed++) {
      const random = new SeededRandom(seed);
      const { storage, clusterSize } = await make(random);
      const before = said(storage);
      const wanted = random.chance(0.15) ? null : randomBacking(random, random.pick([20, 300, 700, 1023]));
      const recorder = new RecordingStorage(copyOf(storage));
      const image = await open(recorder);
      const error: unknown = await change(image, wanted).catch((reason: unknown) => reason);
      const after: Said = { ...before, name: wanted?.name, format: wanted?.format };
      if (error !== undefined) {
        expect(isImgError(error, "ERR_IMG_NO_SPACE"), `seed ${String(seed)}`).toBe(true);
        expect(clusterSize).toBeLessThan(2048);
        refused++;
      } else {
        recorder.recording.mark("done");
        expect(image.driver.implicitBackingFile()).toBe(wanted?.name);
        expect(image.driver.implicitBackingFormat()).toBe(wanted?.format);
      }
      await image.close();
      const written = recorder.recording.entries.filter(({ operation }) => operation.kind === "write");
      aside += written.length > 4 ? 1 : 0;
      for (const state of recorder.recording.states({ seed, subsets: 2 })) {
        const [found] = state.storages as [MemoryStorage];
        const what = `seed ${String(seed)}, ${state.description}`;
        const seen = said(found);
        const isNew = JSON.stringify(seen) === JSON.stringify(after);
        expect(isNew || JSON.stringify(seen) === JSON.stringify(before), `${what}: ${JSON.stringify(seen)}`).toBe(true);
        if (state.marks.includes("done")) {
          expect(seen, what).toEqual(after);
        }
      }
    }
    expect(aside).toBeGreaterThan(5);
    expect(refused).toBeGreaterThan(2);
  });

  it("stands where it usually stands, with nothing behind it", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = new SeededRandom(seed);
      const { storage, clusterSize } = await make(random);
      const image = await open(storage);
      for (let round = 0; round < 4; round++) {
        await change(image, random.chance(0.2) ? null : randomBacking(random, 120)).catch(() => undefined);
        const loaded = runSync(loadHeader(copyOf(storage)));
        const usual = serializeHeader(loaded);
        const bytes = new Uint8Array(clusterSize);
        bytes.set(usual);
        expect(Buffer.compare(storage.toUint8Array().subarray(0, clusterSize), bytes), `seed ${String(seed)}`).toBe(0);
      }
      await image.close();
      expectSound(storage, `seed ${String(seed)}`);
    }
  });

  it("takes two writes and two syncs, where nothing is in the way or left behind", async () => {
    const made = new MemoryStorage();
    await (await qcow2.create(made, { size: 65536, backing: null, backingFile: { name: "a", format: "raw" } })).close();
    const storage = new CountingStorage(copyOf(made));
    const image = await open(storage);
    await change(image, { name: "another", format: "raw" });
    expect([storage.calls("write"), storage.calls("sync")]).toEqual([2, 2]);
    await image.close();
  });

  it("is named or not, whichever call of the storage fails, and the image is as good as before", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      for (let nth = 1; ; nth++) {
        const random = new SeededRandom(seed);
        const { storage } = await make(random);
        const before = said(storage);
        const wanted = randomBacking(random, 300);
        const plan = new FaultPlan();
        const image = await open(new FaultStorage(storage, plan));
        plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
        const failed = await change(image, wanted).then(
          () => false,
          () => true,
        );
        const met = plan.faults.length > 0;
        plan.clear();
        await image.close().catch(() => undefined);
        const seen = said(storage);
        const what = `seed ${String(seed)}, call ${String(nth)}`;
        expect([wanted.name, before.name], what).toContain(seen.name);
        expect(seen.format, what).toBe(seen.name === before.name ? before.format : wanted.format);
        expect(seen.rest, what).toBe(before.rest);
        expectSound(storage, what);
        if (!met) {
          expect(failed && seen.name !== before.name, what).toBe(false);
          break;
        }
      }
    }
  });

  it("can be changed between writes", async () => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size: 10 * 65536, lazyRefcounts: true });
    const expected = new Uint8Array(image.size);
    for (let round = 1; round <= 5; round++) {
      const at = round * 70_000;
      await image.write(new Uint8Array(5000).fill(round), at);
      await image.writeCompressed(new Uint8Array(65536).fill(0x50 + round), 0).catch(() => undefined);
      expected.fill(round, at, at + 5000);
      await change(image, { name: "n".repeat(round * 100), format: "raw" });
    }
    const read = new Uint8Array(image.size);
    await image.read(read, 0);
    await image.close();
    expect(Buffer.compare(read.subarray(65536), expected.subarray(65536))).toBe(0);
    expectSound(storage, "after all");
  });

  it("is refused when its name or format can't be recorded", async () => {
    const image = await qcow2.create(new MemoryStorage(), { size: 65536, clusterSize: 512 });
    const refusals: readonly (readonly [string, string, string])[] = [
      ["", "raw", "ERR_IMG_UNSUPPORTED"],
      ["a", "", "ERR_IMG_UNSUPPORTED"],
      ["a", "sixteen-letters!", "ERR_IMG_UNSUPPORTED"],
      ["a".repeat(1024), "raw", "ERR_IMG_LIMIT"],
      ["a".repeat(500), "raw", "ERR_IMG_NO_SPACE"],
    ];
    for (const [name, format, code] of refusals) {
      await expect(change(image, { name, format })).rejects.toMatchObject({
        code: expect.stringMatching(code) as string,
      });
      expect(image.driver.implicitBackingFile()).toBeUndefined();
    }
    await image.write(new Uint8Array(512).fill(1), 0);
    await image.close();
  });
});
