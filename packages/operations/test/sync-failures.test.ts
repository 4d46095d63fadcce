import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImgError, MemoryStorage, openerFromFunctions, runSync, type FormatAccess } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { AsyncStorage, FaultStorage } from "@img/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  benchSync,
  compareSync,
  convert,
  convertSync,
  infoSync,
  mapSync,
  measureSync,
  resizeImageSync,
  type UnreadableArea,
} from "../src/index.ts";
import {
  checkImageFileSync,
  compareImageFilesSync,
  convertImagesSync,
  createImageFileSync,
  ddImageFileSync,
  infoImageFileChainSync,
  infoImageFileSync,
  openImageSync,
  type ConvertImagesSyncOptions,
} from "../src/node.ts";
import { makeDisk } from "./support/make-disk.ts";

const MiB = 1024 * 1024;
let directory = "";
const at = (name: string): string => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-sync-failures-"));
  makeDisk(at("disk.raw"), 5 * MiB);
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function failure(run: () => unknown): ImgError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ImgError);
    return error as ImgError;
  }
  throw new Error("nothing was thrown");
}

/** What this process has open in the directory. */
function openFiles(): readonly string[] {
  const paths = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return paths.filter((path) => path.startsWith(directory));
}

function conversion(more: Partial<ConvertImagesSyncOptions> = {}): ConvertImagesSyncOptions {
  return {
    sources: [{ path: at("disk.raw"), format: "raw" }],
    target: { path: at("target"), format: "qcow2" },
    chunkSize: 65536,
    ...more,
  };
}

describe.skipIf(process.platform !== "linux")("a synchronous conversion that fails", () => {
  afterEach(() => {
    expect(openFiles()).toEqual([]);
  });

  /** Everything that makes one fail in the middle. */
  const failures: Readonly<Record<string, () => Partial<ConvertImagesSyncOptions>>> = {
    "a callback throws": () => ({
      onProgress: ({ done }) => {
        if (done > MiB) throw new ImgError("ERR_IMG_LIMIT", "enough");
      },
    }),
    "a callback aborts it": () => {
      const controller = new AbortController();
      return {
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done > MiB) controller.abort(new ImgError("ERR_IMG_LIMIT", "enough"));
        },
      };
    },
    "it was aborted before": () => ({ signal: AbortSignal.abort(new ImgError("ERR_IMG_LIMIT", "enough")) }),
  };

  test.each(Object.entries(failures))("%s: leaves nothing, and what was there", (_, options) => {
    const before = readdirSync(directory);
    expect(failure(() => convertImagesSync(conversion(options()))).message).toBe("enough");
    expect(readdirSync(directory)).toEqual(before);

    writeFileSync(at("target"), "precious", { mode: 0o640 });
    expect(failure(() => convertImagesSync(conversion(options()))).message).toBe("enough");
    expect(readdirSync(directory)).toEqual([...before, "target"].sort());
    expect(readFileSync(at("target"), "utf8")).toBe("precious");

    const withData = { path: at("target"), format: "qcow2", dataFile: at("data") };
    expect(failure(() => convertImagesSync(conversion({ ...options(), target: withData }))).message).toBe("enough");
    expect(readdirSync(directory)).toEqual([...before, "target"].sort());
  });

  test("that succeeds replaces what was there, and keeps its permissions", () => {
    writeFileSync(at("target"), "old", { mode: 0o640 });
    convertImagesSync(conversion());
    expect(statSync(at("target")).mode & 0o7777).toBe(0o640);
    expect(readdirSync(directory)).toEqual(["disk.raw", "target"]);
    execFileSync("qemu-img", ["compare", "-f", "raw", "-F", "qcow2", at("disk.raw"), at("target")]);
  });

  test("refuses to write what it reads, and a target that is too small", () => {
    const onto = (path: string): ConvertImagesSyncOptions => conversion({ target: { path, format: "raw" } });
    expect(failure(() => convertImagesSync(onto(at("disk.raw")))).code).toBe("ERR_IMG_DENIED");
    expect(failure(() => convertImagesSync({ ...onto(at("disk.raw")), skipCreate: true })).code).toBe("ERR_IMG_DENIED");
    createImageFileSync({ path: at("small"), format: "raw", size: MiB });
    expect(failure(() => convertImagesSync({ ...onto(at("small")), skipCreate: true })).code).toBe("ERR_IMG_NO_SPACE");
    expect(statSync(at("disk.raw")).size).toBe(5 * MiB);
    expect(() => convertImagesSync(conversion({ sources: [] }))).toThrow(RangeError);
  });

  test("images that stand on each other are found out", () => {
    const make = (name: string, below: string): number =>
      createImageFileSync({
        path: at(name),
        format: "qcow2",
        size: MiB,
        backingFile: { name: below, format: "qcow2", open: false },
      });
    make("a", "b");
    make("b", "a");
    const error = failure(() => infoImageFileChainSync({ path: at("a"), gate: { within: directory } }));
    expect(error.code).toBe("ERR_IMG_CORRUPT");
    expect(openFiles()).toEqual([]);
  });

  test("other operations leave nothing open or half done either", () => {
    writeFileSync(at("target"), "precious");
    const before = readdirSync(directory);
    const bad = { path: at("target"), format: "qcow2", size: MiB, createOptions: { clusterSize: 1000 } };
    expect(() => createImageFileSync(bad)).toThrow();
    const aborted = { signal: AbortSignal.abort(new ImgError("ERR_IMG_LIMIT", "enough")) };
    expect(failure(() => createImageFileSync({ ...bad, createOptions: {} }, aborted)).message).toBe("enough");
    const source = { path: at("disk.raw"), format: "raw" };
    const target = { path: at("target"), format: "qcow2" };
    expect(failure(() => ddImageFileSync({ source, target, ...aborted })).message).toBe("enough");
    expect(() => ddImageFileSync({ source, target, skip: 0.5 })).toThrow(RangeError);
    expect(failure(() => infoImageFileSync({ path: at("target"), format: "qcow2" })).code).toBe(
      "ERR_IMG_UNKNOWN_FORMAT",
    );
    expect(failure(() => checkImageFileSync({ path: at("target") })).code).toBe("ERR_IMG_UNSUPPORTED");
    expect(failure(() => compareImageFilesSync(source, { path: at("gone") })).code).toBe("ENOENT");
    expect(failure(() => compareImageFilesSync(source, { ...source }, aborted)).message).toBe("enough");
    expect(readdirSync(directory)).toEqual(before);
    expect(readFileSync(at("target"), "utf8")).toBe("precious");
  });
});

describe("without waiting, a storage that can't answer at once is refused by name", () => {
  const named = expect.objectContaining({
    code: "ERR_IMG_ASYNC_ONLY",
    message: expect.stringContaining("far away") as string,
  }) as Error;
  let far: FormatAccess;
  let near: FormatAccess;

  beforeEach(async () => {
    far = await qcow2.create(new AsyncStorage(new MemoryStorage(new Uint8Array(0), { label: "far away" })), {
      size: MiB,
    });
    await far.write(new Uint8Array(70_000).fill(1), 0);
    await far.flush();
    await far.invalidateCache();
    near = await raw.create(new MemoryStorage(), { size: MiB });
  });
  afterEach(async () => {
    await far.close();
    await near.close();
  });

  test("in open images", () => {
    expect(() => [...mapSync(far)]).toThrow(named);
    expect(() => measureSync(far, "raw")).not.toThrow();
    expect(() => measureSync(far, "qcow2")).toThrow(named);
    expect(() => compareSync(near, far)).toThrow(named);
    expect(() => convertSync([far], near)).toThrow(named);
    expect(() => convertSync([far], near, { onUnreadable: () => undefined })).toThrow(named);
    expect(() => convertSync([near], far)).toThrow(named);
    expect(() => resizeImageSync(far, { size: 2 * MiB })).toThrow(named);
    expect(() => benchSync(far, { count: 1 })).toThrow(named);
    expect(() => infoSync(far)).toThrow(named);
  });

  test("in files, where nothing half done stays of it", () => {
    const storages = { far: openerFromFunctions({ open: () => new MemoryStorage() }) };
    const path = "far:disk";
    const named = expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }) as Error;
    const before = readdirSync(directory);
    expect(() => openImageSync({ path, storages })).toThrow(named);
    expect(() => infoImageFileSync({ path, storages })).toThrow(named);
    expect(() => convertImagesSync(conversion({ sources: [{ path, storages }] }))).toThrow(named);
    expect(readdirSync(directory)).toEqual(before);
  });
});

describe("in both worlds at once", () => {
  test("an image that somebody is at work on is busy, and works again afterwards", async () => {
    const storage = new AsyncStorage(new MemoryStorage());
    const image = await qcow2.create(storage, { size: MiB });
    const shrinking = image.resizeShrink(MiB / 2);
    expect(failure(() => resizeImageSync(image, { size: 2 * MiB })).code).toBe("ERR_IMG_BUSY");
    expect(failure(() => [...mapSync(image)]).code).toBe("ERR_IMG_BUSY");
    await shrinking;
    expect([...mapSync(image)]).toHaveLength(1);
    await image.close();
    expect(failure(() => [...mapSync(image)]).code).toBe("ERR_IMG_CLOSED");
  });
});

describe("convertSync", () => {
  test("doesn't write faster than it may", () => {
    const source = openImageSync({ path: at("disk.raw"), format: "raw" });
    const target = runSync(raw.createIo(new MemoryStorage(), { size: 5 * MiB }));
    const began = performance.now();
    const { written } = convertSync([source], target, { rate: 40 * MiB, chunkSize: 65536 });
    expect(written).toBeGreaterThan(MiB);
    expect(performance.now() - began).toBeGreaterThan((written / (40 * MiB)) * 1000 - 1);
    runSync(source.io.close());
    runSync(target.io.close());
  });

  test("goes on past what can't be read, if somebody wants to hear of it", async () => {
    const bytes = new Uint8Array(MiB).fill(5);
    const broken = new FaultStorage(new MemoryStorage(bytes), [{ on: "read", range: { offset: 70_000, length: 1 } }]);
    const source = await raw.open(broken);
    const first = await raw.create(new MemoryStorage(), { size: MiB });
    const second = await raw.create(new MemoryStorage(), { size: MiB });
    expect(failure(() => convertSync([source], first)).code).toBe("EIO");
    const lost: UnreadableArea[] = [];
    const result = convertSync([source], first, { onUnreadable: (area) => lost.push(area) });
    const lostLater: UnreadableArea[] = [];
    expect(await convert([source], second, { onUnreadable: (area) => lostLater.push(area), parallel: 1 })).toEqual(
      result,
    );
    expect(lost.map(({ error: _, ...area }) => area)).toEqual([
      { source: 0, offset: 69_632, length: 512, what: "data" },
    ]);
    expect(lostLater.map(({ error: _, ...area }) => area)).toEqual(lost.map(({ error: _, ...area }) => area));
    expect(compareSync(first, second)).toEqual({ identical: true, sizeDiffers: false });
    for (const image of [source, first, second]) await image.close();
  });
});
