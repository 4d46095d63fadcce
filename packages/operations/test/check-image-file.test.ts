import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, openerFromFunctions } from "@img/format-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  checkImageFile,
  checkImageFileSync,
  createImageFileSync,
  openImage,
  repairImageFile,
  repairImageFileSync,
} from "../src/node.ts";
import { qemuRepairLines } from "../src/index.ts";

let directory: string;
const file = (name: string): string => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-check-file-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Changes one byte of a file. */
function poke(name: string, offset: number, value: number): void {
  const bytes = readFileSync(file(name));
  bytes[offset] = value;
  writeFileSync(file(name), bytes);
}

/** Makes a leak: the L2 table forgets its first cluster. */
async function makeLeaking(name: string): Promise<void> {
  createImageFileSync({ path: file(name), format: "qcow2", size: 1_048_576 });
  const image = await openImage({ path: file(name), format: "qcow2", writable: true });
  await image.write(new Uint8Array(131_072).fill(7), 0);
  await image.close();
  for (let offset = 0x40000; offset < 0x40008; offset++) {
    poke(name, offset, 0);
  }
}

describe("a deep check of an image's file", () => {
  const check = (name: string): readonly string[] => {
    const spec = { path: file(name), gate: { within: directory } } as const;
    return checkImageFileSync(spec, { deep: true }).chain;
  };

  test("finds nothing wrong with what is in order, and without being asked looks at nothing else", async () => {
    createImageFileSync({ path: file("base.qcow2"), format: "qcow2", size: 1_048_576 });
    const backingFile = { name: "base.qcow2", format: "qcow2" };
    createImageFileSync({ path: file("over.qcow2"), format: "qcow2", backingFile });
    expect(check("over.qcow2")).toEqual([]);
    rmSync(file("base.qcow2"));
    expect((await checkImageFile({ path: file("over.qcow2") })).chain).toEqual([]);
    expect(check("over.qcow2")).toEqual([expect.stringContaining("base.qcow2")]);
  });

  test("finds images below that can't be relied on", () => {
    createImageFileSync({ path: file("base.qcow2"), format: "qcow2", size: 1_048_576 });
    const backingFile = { name: "base.qcow2", format: "qcow2" };
    createImageFileSync({ path: file("over.qcow2"), format: "qcow2", backingFile });
    poke("base.qcow2", 79, 1);
    expect(check("over.qcow2")).toEqual([expect.stringContaining("marked as dirty")]);
    poke("base.qcow2", 79, 2);
    expect(check("over.qcow2")).toEqual([expect.stringContaining("marked as corrupt")]);
    // only those below: of the image itself the check tells
    expect(check("base.qcow2")).toEqual([]);
  });

  test("finds a data file that lost its end", () => {
    createImageFileSync({
      path: file("disk.qcow2"),
      format: "qcow2",
      size: 1_048_576,
      dataFile: file("disk.raw"),
    });
    expect(check("disk.qcow2")).toEqual([]);
    truncateSync(file("disk.raw"), 65_536);
    expect(check("disk.qcow2")).toEqual([expect.stringContaining("its data file has 65536 bytes")]);
  });
});

test("a deep check is aborted while it opens the images below", async () => {
  const controller = new AbortController();
  const base = new MemoryStorage(new Uint8Array(1_048_576));
  const slow = openerFromFunctions({
    open: () => {
      controller.abort(new Error("enough"));
      return base;
    },
  });
  const backingFile = { name: "slow:base", format: "raw", open: false };
  createImageFileSync({ path: file("over.qcow2"), format: "qcow2", size: 1_048_576, backingFile });
  const spec = { path: file("over.qcow2"), storages: { slow }, gate: "allow-all" } as const;
  await expect(checkImageFile(spec, { deep: true, signal: controller.signal })).rejects.toThrow("enough");
});

describe("repairing an image's file", () => {
  test("is planned and done in both worlds", async () => {
    await makeLeaking("a.qcow2");
    const before = readFileSync(file("a.qcow2"));
    const plan = await repairImageFile({ path: file("a.qcow2") }, { mode: "leaks", dryRun: true });
    expect(plan).toMatchObject({ format: "qcow2", leaksFixed: 1, corruptionsFixed: 0, after: { leaks: 0 } });
    expect(plan.steps.flatMap((step) => [...qemuRepairLines(step)])).toEqual([
      "Repairing cluster 5 refcount=1 reference=0",
    ]);
    expect(repairImageFileSync({ path: file("a.qcow2") }, { mode: "leaks", dryRun: true })).toEqual(plan);
    expect(readFileSync(file("a.qcow2")).equals(before)).toBe(true);
    expect(await repairImageFile({ path: file("a.qcow2") }, { mode: "leaks", plan })).toEqual(plan);
    expect(checkImageFileSync({ path: file("a.qcow2") })).toMatchObject({ leaks: 0, corruptions: 0 });
    writeFileSync(file("a.qcow2"), before);
    expect(repairImageFileSync({ path: file("a.qcow2") }, { mode: "all" })).toMatchObject({ leaksFixed: 1 });
  });

  test("refuses what somebody else has open, and what has nothing to repair", async () => {
    await makeLeaking("a.qcow2");
    const image = await openImage({ path: file("a.qcow2"), format: "qcow2", writable: true });
    await expect(repairImageFile({ path: file("a.qcow2") }, { mode: "all" })).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
    });
    await image.close();
    writeFileSync(file("a.raw"), new Uint8Array(4096));
    await expect(repairImageFile({ path: file("a.raw") }, { mode: "all" })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      feature: "check",
    });
  });
});
