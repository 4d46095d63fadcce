import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runSync, type FormatAccess } from "@img/format-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  bench,
  benchSync,
  compare,
  compareSync,
  convert,
  convertSync,
  info,
  infoChain,
  infoChainSync,
  infoSync,
  map,
  mapBatches,
  mapBatchesSync,
  mapSync,
  measure,
  measureSync,
  resizeImage,
  resizeImageSync,
  type Progress,
} from "../src/index.ts";
import {
  checkImageFile,
  checkImageFileSync,
  compareImageFiles,
  compareImageFilesSync,
  convertImages,
  convertImagesSync,
  createImageFile,
  createImageFileSync,
  ddImageFile,
  ddImageFileSync,
  infoImageFile,
  infoImageFileChain,
  infoImageFileChainSync,
  infoImageFileSync,
  mapImageFile,
  mapImageFileSync,
  measureImageFile,
  measureImageFileSync,
  openImage,
  openImageSync,
  resizeImageFile,
  resizeImageFileSync,
  type ConvertImagesSyncOptions,
  type ImageSpec,
} from "../src/node.ts";
import { makeDisk } from "./support/make-disk.ts";

let directory = "";
const at = (name: string): string => join(directory, name);

/** Images of every kind, by what they are made with. All show the same disk of 3 MiB, but for the odd one. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  "disk.raw": [],
  "odd.raw": [],
  "default.qcow2": ["-O", "qcow2"],
  "old.qcow2": ["-O", "qcow2", "-o", "compat=0.10"],
  "small.qcow2": ["-O", "qcow2", "-o", "cluster_size=4096,refcount_bits=64"],
  "subclusters.qcow2": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=65536"],
  "zlib.qcow2": ["-O", "qcow2", "-c"],
  "zstd.qcow2": ["-O", "qcow2", "-c", "-o", "compression_type=zstd"],
  "data-file.qcow2": ["-O", "qcow2", "-o", "data_file=data.bin"],
  "overlay.qcow2": ["-O", "qcow2", "-B", "base.qcow2", "-F", "qcow2"],
};
const names = Object.keys(kinds);

beforeAll(() => {
  directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-both-worlds-"));
  makeDisk(at("disk.raw"), 3 * 1024 * 1024);
  makeDisk(at("odd.raw"), 1_000_001);
  makeDisk(at("base.raw"), 2 * 1024 * 1024);
  qemuImg("convert", "-f", "raw", "-O", "qcow2", "base.raw", "base.qcow2");
  for (const [name, args] of Object.entries(kinds)) {
    if (name.endsWith(".qcow2")) {
      qemuImg("convert", "-f", "raw", ...args, "disk.raw", name);
    }
  }
});
afterEach(() => {
  expect(openFiles()).toEqual([]);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", cwd: directory });
}

function formatOf(name: string): string {
  return name.endsWith(".raw") ? "raw" : "qcow2";
}

function spec(name: string): ImageSpec {
  return { path: at(name), format: formatOf(name), gate: { within: directory } };
}

/** What this process has open of the images. */
function openFiles(): readonly string[] {
  const found: string[] = [];
  for (const fd of existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd") : []) {
    try {
      found.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // the one that listing the directory took
    }
  }
  return found.filter((path) => path.startsWith(directory));
}

/** What a conversion has made. */
function madeFiles(): Buffer {
  return Buffer.concat(
    ["made", "made.bin"].filter((name) => existsSync(at(name))).map((name) => readFileSync(at(name))),
  );
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Opens an image for both worlds, and closes it. */
async function both<T>(name: string, body: (image: FormatAccess) => Promise<T>): Promise<T> {
  const image = await openImage(spec(name));
  try {
    return await body(image);
  } finally {
    await image.close();
  }
}

/** A storage has nothing that two images of it could be compared by. */
function withoutStorages<T extends { readonly storage?: unknown }>(entries: readonly T[]): readonly T[] {
  return entries.map((entry) => ({ ...entry, storage: undefined }));
}

describe.each(names)("%s: without waiting", (name) => {
  test("an open image is described, mapped and measured as ever, also inside of something else", async () => {
    await both(name, async (image) => {
      const inside = { inner: image };
      expect(infoSync(image)).toEqual(await info(image));
      expect(infoSync(inside, { filename: "x" })).toEqual(await info(image, { filename: "x" }));
      const entries = await collect(map(image));
      expect(entries.length).toBeGreaterThan(3);
      expect([...mapSync(image)]).toEqual(entries);
      const range = { offset: 65_000, length: 300_000 };
      expect([...mapSync(inside, range)]).toEqual(await collect(map(image, range)));
      expect([...mapBatchesSync(inside)]).toEqual(await collect(mapBatches(image)));
      for (const target of ["raw", "qcow2"]) {
        expect(measureSync(inside, target)).toEqual(await measure(image, target));
      }
      expect(measureSync({ size: image.size }, "qcow2", { clusterSize: 4096 })).toEqual(
        await measure({ size: image.size }, "qcow2", { clusterSize: 4096 }),
      );
    });
  });

  test("open images are compared and converted as ever, and tell how far they are", async () => {
    createImageFileSync({ path: at("open-target.qcow2"), format: "qcow2", size: 4 * 1024 * 1024 });
    const target = openImageSync({ ...spec("open-target.qcow2"), writable: true });
    const progress: Progress[] = [];
    await both(name, async (image) => {
      const result = convertSync([{ inner: image }], target, { onProgress: (each) => progress.push(each) });
      expect(result).toEqual(await convert([image], target));
      expect(progress.at(-1)).toEqual({ done: result.size, total: result.size });
      expect(progress.map(({ done }) => done)).toEqual(progress.map(({ done }) => done).sort((a, b) => a - b));
      const told: Progress[][] = [[], []];
      const options = { onProgress: (each: Progress) => told[0]!.push(each) };
      const result2 = compareSync({ inner: image }, target, options);
      expect(result2).toEqual(await compare(image, target, { onProgress: (each) => told[1]!.push(each) }));
      expect(result2).toEqual({ identical: true, sizeDiffers: true });
      expect(told[0]).toEqual(told[1]);
      expect(compareSync(image, target, { strict: true })).toEqual(await compare(image, target, { strict: true }));
    });
    runSync(target.io.close());
    qemuImg("check", "open-target.qcow2");
    rmSync(at("open-target.qcow2"));
  });

  test("a file is described, with all below it, mapped and measured as ever", async () => {
    expect(infoImageFileSync(spec(name))).toEqual(await infoImageFile(spec(name)));
    expect(infoImageFileSync(spec(name)).filename).toBe(at(name));
    const chain = infoImageFileChainSync(spec(name));
    expect(chain).toEqual(await infoImageFileChain(spec(name)));
    expect(chain.map(({ filename }) => filename)).toEqual(
      (
        JSON.parse(qemuImg("info", "-f", formatOf(name), "--backing-chain", "--output=json", at(name))) as {
          filename: string;
        }[]
      ).map(({ filename }) => filename),
    );
    expect(withoutStorages([...mapImageFileSync(spec(name))])).toEqual(
      withoutStorages(await collect(mapImageFile(spec(name)))),
    );
    expect(measureImageFileSync(spec(name), "qcow2")).toEqual(await measureImageFile(spec(name), "qcow2"));
    expect(String(measureImageFileSync(spec(name), "raw").required)).toBe(
      /required size: (\d+)/.exec(qemuImg("measure", "-f", formatOf(name), "-O", "raw", name))?.[1],
    );
  });

  test("a file is compared, checked and cut as ever", async () => {
    const other = spec(name === "odd.raw" ? "disk.raw" : "small.qcow2");
    const result = compareImageFilesSync(spec(name), other);
    expect(result).toEqual(await compareImageFiles(spec(name), other));
    expect(result.identical).toBe(name !== "odd.raw");
    if (formatOf(name) === "qcow2") {
      const checked = checkImageFileSync({ path: at(name) });
      expect(checked).toEqual(await checkImageFile({ path: at(name) }));
      expect(checked).toMatchObject({ format: "qcow2", corruptions: 0, leaks: 0, checkErrors: 0 });
    } else {
      expect(() => checkImageFileSync({ path: at(name), format: "raw" })).toThrow(
        expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }),
      );
    }
    for (const format of ["raw", "qcow2"]) {
      const part = { source: spec(name), blockSize: 1000, skip: 7, count: 900 };
      const target = (path: string): { path: string; format: string } => ({ path: at(path), format });
      const cut = ddImageFileSync({ ...part, target: target("sync.part") });
      expect(cut).toEqual(await ddImageFile({ ...part, target: target("async.part") }));
      expect(cut).toEqual({ copied: 893_000, skippedAll: false });
      expect(readFileSync(at("sync.part")).equals(readFileSync(at("async.part")))).toBe(true);
    }
    rmSync(at("sync.part"));
    rmSync(at("async.part"));
  });

  test.each([
    { target: { format: "raw" } },
    { target: { format: "qcow2", createOptions: { clusterSize: 4096 } } },
    { target: { format: "qcow2" }, compressed: true },
    { target: { format: "qcow2", backingFile: { name: "base.qcow2", format: "qcow2" } } },
    { target: { format: "qcow2", dataFile: true } },
  ])("is converted into the same file as ever: %o", async ({ target, compressed = false }) => {
    const options = (path: string): ConvertImagesSyncOptions => ({
      sources: [spec(name)],
      target: {
        ...target,
        path: at(path),
        gate: { within: directory },
        ...(target.dataFile === true ? { dataFile: at("made.bin") } : { dataFile: undefined }),
      } as ConvertImagesSyncOptions["target"],
      compressed,
    });
    const result = convertImagesSync(options("made"));
    const made = madeFiles();
    const checkedBy = qemuImg("compare", "-f", formatOf(name), "-F", target.format, name, "made");
    expect(checkedBy).toContain("Images are identical.");
    if (target.format === "qcow2") {
      qemuImg("check", "-f", "qcow2", "made");
    }
    rmSync(at("made"));
    rmSync(at("made.bin"), { force: true });
    expect(await convertImages({ ...options("made"), threads: 1 })).toEqual({ ...result, threads: 1 });
    expect(madeFiles().equals(made)).toBe(true);
    rmSync(at("made"));
    rmSync(at("made.bin"), { force: true });
  });
});

describe("without waiting", () => {
  test("images are made and resized as ever", async () => {
    const make = {
      format: "qcow2",
      backingFile: { name: "base.qcow2", format: "qcow2" },
      gate: { within: directory },
      createOptions: { clusterSize: 4096 },
    };
    const sizes: number[] = [];
    const size = createImageFileSync({ ...make, path: at("a") }, { onSize: (each) => sizes.push(each) });
    expect([size, ...sizes]).toEqual([2 * 1024 * 1024, 2 * 1024 * 1024]);
    expect(await createImageFile({ ...make, path: at("b") })).toBe(size);
    expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);

    const [a, b] = [spec("a"), spec("b")].map((each) => ({ ...each, format: "qcow2" })) as [ImageSpec, ImageSpec];
    for (const wanted of [{ size: 5_000_192 }, { change: 1024 }]) {
      expect(resizeImageFileSync(a, wanted)).toEqual(await resizeImageFile(b, wanted));
    }
    expect(() => resizeImageFileSync(a, { size: 512 })).toThrow(expect.objectContaining({ code: "ERR_IMG_DENIED" }));
    expect(resizeImageFileSync(a, { size: 512 }, { shrink: true })).toEqual({ before: 5_001_216, size: 512 });
    await resizeImageFile(b, { size: 512 }, { shrink: true });
    expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);
    qemuImg("check", "-f", "qcow2", "a");

    const [openA, openB] = [openImageSync({ ...a, writable: true }), openImageSync({ ...b, writable: true })];
    const wanted = { change: 70_144 };
    const full = { preallocation: "full" } as const;
    expect(resizeImageSync({ inner: openA }, wanted, full)).toEqual(await resizeImage(openB, wanted, full));
    runSync(openA.io.close());
    runSync(openB.io.close());
    expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);
    rmSync(at("a"));
    rmSync(at("b"));
  });

  test("preallocated images are made as ever", async () => {
    for (const preallocation of ["metadata", "falloc", "full"]) {
      const make = { format: "qcow2", size: 1_500_160, createOptions: { preallocation } };
      createImageFileSync({ ...make, path: at("a") });
      await createImageFile({ ...make, path: at("b") });
      expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);
      qemuImg("check", "-f", "qcow2", "a");
      rmSync(at("a"));
      rmSync(at("b"));
    }
  });

  test("several sources are put behind each other in an image that exists", async () => {
    qemuImg("create", "-q", "-f", "qcow2", "a", "6M");
    copyFileSync(at("a"), at("b"));
    const options = {
      sources: [spec("odd.raw"), spec("zlib.qcow2")],
      skipCreate: true,
      targetIsZero: true,
    };
    const result = convertImagesSync({ ...options, target: { path: at("a"), format: "qcow2" } });
    expect(result.threads).toBe(1);
    expect(await convertImages({ ...options, target: { path: at("b"), format: "qcow2" } })).toEqual(result);
    expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);
    qemuImg("check", "-f", "qcow2", "a");
    rmSync(at("a"));
    rmSync(at("b"));
  });

  test("a chain is described as far as it can be opened", async () => {
    const image = openImageSync({ ...spec("overlay.qcow2"), inspect: true });
    const opened: FormatAccess[] = [];
    const chain = infoChainSync(
      { inner: image },
      {
        filename: at("overlay.qcow2"),
        openBacking: ({ location }) => {
          const below = openImageSync({ path: location, inspect: true });
          opened.push(below);
          return { inner: below };
        },
      },
    );
    const openBacking = ({ location }: { readonly location: string }): Promise<FormatAccess> =>
      openImage({ path: location, inspect: true });
    expect(chain).toEqual(await infoChain(image, { filename: at("overlay.qcow2"), openBacking }));
    expect(chain.map(({ filename }) => filename)).toEqual([at("overlay.qcow2"), at("base.qcow2")]);
    expect(opened.map(({ io }) => io.isClosed)).toEqual([true]);
    const refuse = (): never => {
      throw new Error("gone");
    };
    expect(() => infoChainSync(image, { openBacking: refuse })).toThrow("gone");
    runSync(image.io.close());

    expect(() => infoImageFileChainSync({ path: at("overlay.qcow2") })).toThrow(
      expect.objectContaining({ code: "ERR_IMG_DENIED" }),
    );
    expect(() => infoImageFileChainSync(spec("overlay.qcow2"), { depthLimit: 1 })).toThrow(
      expect.objectContaining({ code: "ERR_IMG_LIMIT" }),
    );
    const { signal } = new AbortController();
    expect(infoImageFileChainSync(spec("overlay.qcow2"), { signal })).toHaveLength(2);
    expect(() => infoImageFileChainSync(spec("overlay.qcow2"), { signal: AbortSignal.abort("enough") })).toThrow(
      "enough",
    );
  });

  test("a map that nobody wants to see the end of closes its image", () => {
    for (const { start, length } of mapImageFileSync(spec("zlib.qcow2"))) {
      expect([start, length > 0]).toEqual([0, true]);
      expect(openFiles()).toHaveLength(1);
      break;
    }
    expect(openFiles()).toEqual([]);
    expect(() => [...mapImageFileSync(spec("zlib.qcow2"), { offset: -1 })]).toThrow(RangeError);
  });

  test("a benchmark sends the same requests one after the other", async () => {
    for (const more of [{}, { drain: false }]) {
      createImageFileSync({ path: at("a"), format: "raw", size: 1024 * 1024 });
      createImageFileSync({ path: at("b"), format: "raw", size: 1024 * 1024 });
      const writes = {
        write: true,
        count: 50,
        length: 700,
        step: 5000,
        pattern: 7,
        flushInterval: 8,
        depth: 4,
        ...more,
      };
      const [a, b] = ["a", "b"].map((name) => openImageSync({ ...spec(name), format: "raw", writable: true })) as [
        FormatAccess,
        FormatAccess,
      ];
      const result = benchSync({ inner: a }, writes);
      expect(result.flushes).toBe((await bench(b, writes)).flushes);
      expect(result.flushes).toBe(more.drain === false ? 6 : 7);
      expect(benchSync(a, { count: 300 }).seconds).toBeGreaterThan(0);
      expect(() => benchSync(a, { length: 2 ** 21 })).toThrow(
        expect.objectContaining({ code: "ERR_IMG_OUT_OF_RANGE" }),
      );
      expect(() => benchSync(a, { depth: 0 })).toThrow(RangeError);
      runSync(a.io.close());
      runSync(b.io.close());
      expect(readFileSync(at("a")).equals(readFileSync(at("b")))).toBe(true);
    }
    rmSync(at("a"));
    rmSync(at("b"));
  });
});
