import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convertImages, openImage, type ConvertImagesOptions, type ConvertImagesResult } from "../src/node.ts";
import { buildWorker } from "./support/build-worker.ts";

const MiB = 1024 * 1024;
let directory: string;
let workerEntry: URL;

function at(name: string): string {
  return join(directory, name);
}

function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8" });
}

/** A disk with holes, text, repeated and random bytes. */
function makeDisk(name: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 99;
  for (let start = 0; start < length; start += 65536) {
    const kind = (start / 65536) % 5;
    for (let offset = start; offset < Math.min(start + 65536, length); offset++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bytes[offset] = kind === 0 ? state >>> 24 : kind === 1 ? (offset >> 4) & 0xff : kind === 2 ? state >>> 30 : 0;
    }
  }
  writeFileSync(at(name), bytes);
  return bytes;
}

function same(name: string, expected: Uint8Array): boolean {
  return Buffer.compare(readFileSync(at(name)), expected) === 0;
}

function options(source: string, target: string, more: Partial<ConvertImagesOptions> = {}): ConvertImagesOptions {
  return {
    sources: [{ path: at(source), gate: "allow-all" }],
    target: { path: at(target), format: "raw" },
    sync: false,
    ...more,
  };
}

/** Keeps the thread that began a conversion from finishing it before others can begin. */
function slowly(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
}

let disk: Uint8Array;
let bigDisk: Uint8Array;

/** Takes two milliseconds. */
function dawdle(): void {
  const end = performance.now() + 2;
  while (performance.now() < end);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "img-convert-"));
  disk = makeDisk("disk.raw", 3 * MiB + 5 * 512);
  bigDisk = makeDisk("big.raw", 64 * MiB);
  writeFileSync(at("zeroless.raw"), new Uint8Array(64 * MiB).fill(1));
  for (const [name, ...args] of [
    ["plain", "-O", "qcow2"],
    ["small", "-O", "qcow2", "-o", "cluster_size=512"],
    ["zlib", "-c", "-O", "qcow2"],
    ["zstd", "-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    ["extended", "-O", "qcow2", "-o", "extended_l2=on"],
    ["v2", "-O", "qcow2", "-o", "compat=0.10"],
  ] as const) {
    qemuImg("convert", "-f", "raw", ...args, at("disk.raw"), at(`${name}.qcow2`));
  }
  qemuImg("convert", "-f", "raw", "-c", "-W", "-m", "16", "-O", "qcow2", at("big.raw"), at("big.qcow2"));
  qemuImg("create", "-f", "qcow2", "-b", at("zlib.qcow2"), "-F", "qcow2", at("overlay.qcow2"));
  execFileSync("qemu-io", ["-c", "write -P 0x77 1M 100k", "-c", "write -z 2M 64k", at("overlay.qcow2")]);
  workerEntry = await buildWorker(at("worker"));
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe("convertImages", () => {
  it.each(["plain", "small", "zlib", "zstd", "extended", "v2"])("converts a %s qcow2 image", async (name) => {
    const result = await convertImages(options(`${name}.qcow2`, `${name}.out`));
    expect(result.size).toBe(disk.length);
    expect(same(`${name}.out`, disk)).toBe(true);
    expect(statSync(at(`${name}.out`)).blocks * 512).toBeLessThan(disk.length);
  });

  it("converts a chain of images as qemu-img does", async () => {
    qemuImg("convert", "-O", "raw", at("overlay.qcow2"), at("overlay.expected"));
    await convertImages(options("overlay.qcow2", "overlay.out"));
    expect(same("overlay.out", readFileSync(at("overlay.expected")))).toBe(true);
  });

  it("opens nothing by itself unless it is told to", async () => {
    const sources = [{ path: at("overlay.qcow2") }];
    const work = convertImages(options("", "denied.out", { sources }));
    await expect(work).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    expect(existsSync(at("denied.out"))).toBe(false);
  });

  it("takes the backing image that it is given, and closes it", async () => {
    const sources = [{ path: at("overlay.qcow2"), backing: { path: at("disk.raw"), format: "raw" } }];
    await convertImages(options("", "explicit.out", { sources }));
    qemuImg("convert", "-O", "raw", at("overlay.qcow2"), at("explicit.expected"));
    expect(same("explicit.out", readFileSync(at("explicit.expected")))).toBe(true);
    const open = await openImage(sources[0]!);
    await open.close();
    expect(open.driver.backing?.io.isClosed).toBe(true);
  });

  it("puts several images behind each other", async () => {
    const sources = ["zlib.qcow2", "disk.raw", "zstd.qcow2"].map((name) => ({ path: at(name) }));
    const result = await convertImages(options("", "three.out", { sources }));
    expect(result.size).toBe(3 * disk.length);
    expect(same("three.out", Buffer.concat([disk, disk, disk]))).toBe(true);
  });

  it("writes a raw image with the size that qemu-img gives it", async () => {
    writeFileSync(at("odd.raw"), disk.subarray(0, 1000));
    const sources = [{ path: at("odd.raw"), format: "raw" }];
    await convertImages(options("", "odd.out", { sources }));
    qemuImg("convert", "-f", "raw", "-O", "raw", at("odd.raw"), at("odd.expected"));
    expect(same("odd.out", readFileSync(at("odd.expected")))).toBe(true);
  });

  it("allocates everything when nothing may be sparse", async () => {
    await convertImages(options("plain.qcow2", "full.out", { sparse: 0 }));
    expect(same("full.out", disk)).toBe(true);
    expect(statSync(at("full.out")).blocks * 512).toBeGreaterThanOrEqual(disk.length);
  });

  it("makes the target durable unless told otherwise", async () => {
    await convertImages(options("plain.qcow2", "synced.out", { sync: true }));
    expect(same("synced.out", disk)).toBe(true);
  });

  describe("with threads", () => {
    it.each(["big.qcow2", "big.raw"])("copies %s with several threads to a raw target", async (source) => {
      const copy = (name: string, threads: number): Promise<ConvertImagesResult> =>
        // slow enough for help to be worth it, however fast the machine is
        convertImages(options(source, name, { threads, workerEntry, chunkSize: 262_144, onProgress: slowly }));
      const alone = await copy("big-1.out", 1);
      const result = await copy("big-3.out", 3);
      for (const name of ["big-1.out", "big-3.out"]) {
        expect(same(name, bigDisk)).toBe(true);
        expect(statSync(at(name)).blocks * 512).toBeLessThan(bigDisk.length * 0.7);
      }
      expect(alone.threads).toBe(1);
      expect(result).toEqual({ ...alone, threads: result.threads });
      expect(result.threads).toBeGreaterThan(1);
    });

    it("does without them when their module isn't there", async () => {
      const nowhere = new URL("nowhere.js", workerEntry);
      const result = await convertImages(options("big.qcow2", "alone.out", { workerEntry: nowhere }));
      expect(result.threads).toBe(1);
      expect(same("alone.out", bigDisk)).toBe(true);
    });

    it("does without them when they can't begin", async () => {
      writeFileSync(at("worker/broken.js"), "throw new Error('broken');\n");
      const broken = new URL("broken.js", workerEntry);
      const result = await convertImages(options("big.qcow2", "alone.out", { workerEntry: broken }));
      expect(result.threads).toBe(1);
      expect(same("alone.out", bigDisk)).toBe(true);
    });

    it("copies what a thread left behind that ended early", async () => {
      // it has a part, begins it with the wrong bytes, and says nothing of it
      writeFileSync(
        at("worker/lost.js"),
        `import { parentPort, workerData } from "node:worker_threads";
         import { closeSync, openSync, writeSync } from "node:fs";
         const part = Atomics.add(new Int32Array(workerData.memory, 0, 1), 0, 1);
         const file = openSync(workerData.target.path, "r+");
         if (part < 8) writeSync(file, Buffer.alloc(1000, 7), 0, 1000, (8 * part + 1) << 20);
         closeSync(file);
         parentPort.postMessage("begun");`,
      );
      const more = { workerEntry: new URL("lost.js", workerEntry), threads: 2, chunkSize: 262_144, onProgress: slowly };
      const result = await convertImages(options("zeroless.raw", "alone.out", more));
      expect(result).toEqual({ size: 64 * MiB, written: 64 * MiB, threads: 1 });
      expect(same("alone.out", readFileSync(at("zeroless.raw")))).toBe(true);
    });

    it("does what a thread left behind that ended early", async () => {
      writeFileSync(
        at("worker/tired.js"),
        `import { parentPort } from "node:worker_threads";
         parentPort.postMessage("ready");
         parentPort.once("message", ({ into }) => {
           into.fill(7);
           parentPort.once("message", () => process.exit(1));
           // it may have been the last one
           setTimeout(() => process.exit(1), 100);
         });`,
      );
      const tired = new URL("tired.js", workerEntry);
      const more = { workerEntry: tired, threads: 2, chunkSize: 262_144, onProgress: slowly };
      const target = { path: at("alone.qcow2"), format: "qcow2" };
      const result = await convertImages({ ...options("big.qcow2", ""), ...more, target });
      expect(result.threads).toBe(1);
      qemuImg("compare", at("alone.qcow2"), at("big.raw"));
    });

    it("has none for data that isn't compressed, and a target that is written in order", async () => {
      const more = { workerEntry, threads: 2, chunkSize: 262_144, onProgress: dawdle };
      const target = { path: at("alone.qcow2"), format: "qcow2" };
      const result = await convertImages({ ...options("big.raw", ""), ...more, target });
      expect(result.threads).toBe(1);
      qemuImg("compare", at("alone.qcow2"), at("big.raw"));
    });

    it("has none that are to keep to a rate", async () => {
      const more = { workerEntry, threads: 2, chunkSize: 262_144, onProgress: dawdle, rate: 1e9 };
      const result = await convertImages(options("big.raw", "alone.out", more));
      expect(result.threads).toBe(1);
      expect(same("alone.out", bigDisk)).toBe(true);
    });

    it("allocates and copies whatever is asked for, in any thread", async () => {
      qemuImg("create", "-f", "qcow2", "-b", at("big.qcow2"), "-F", "qcow2", at("big-overlay.qcow2"));
      const commands = ["write -P 0x77 1M 100k", "write -z 20M 64k", "write -P 3 40M 1M"];
      execFileSync("qemu-io", [...commands.flatMap((command) => ["-c", command]), at("big-overlay.qcow2")]);
      qemuImg("convert", "-O", "raw", at("big-overlay.qcow2"), at("big-overlay.raw"));
      const expected = Buffer.concat([readFileSync(at("big-overlay.raw")), bigDisk]);
      const names = ["big-overlay.qcow2", "big.raw"];
      const sources = names.map((name) => ({ path: at(name), gate: "allow-all" }) as const);
      writeFileSync(at("linked.out"), "old");
      linkSync(at("linked.out"), at("linked-too.out"));
      for (const [name, more] of [
        ["together.out", {}],
        ["full.out", { sparse: 0 }],
        ["offloaded.out", { offload: true }],
        ["durable.out", { sync: true }],
        ["linked.out", {}],
      ] as const) {
        const how = { threads: 2, workerEntry, chunkSize: 262_144, onProgress: slowly, ...more };
        const result = await convertImages({ ...options("", name), ...how, sources });
        expect(result).toMatchObject({ size: expected.length, threads: 2 });
        expect(same(name, expected)).toBe(true);
      }
      expect(statSync(at("full.out")).blocks * 512).toBeGreaterThanOrEqual(expected.length);
    });

    it("gives the same image whoever read, of whatever is converted", async () => {
      const images = [];
      for (const threads of [1, 2]) {
        const more = { workerEntry, threads, chunkSize: 262_144, onProgress: slowly };
        const target = { path: at(`same-${String(threads)}.qcow2`), format: "qcow2" };
        const result = await convertImages({ ...options("big.qcow2", ""), ...more, target });
        expect(result.threads > 1).toBe(threads > 1);
        images.push(readFileSync(target.path));
      }
      expect(Buffer.compare(images[0]!, images[1]!)).toBe(0);
    });

    it("tells what any thread found wrong", async () => {
      copyFileSync(at("big.qcow2"), at("damaged.qcow2"));
      const { size } = statSync(at("damaged.qcow2"));
      const fd = openSync(at("damaged.qcow2"), "r+");
      // the last compressed clusters are in the last MiB
      writeSync(fd, Buffer.alloc(MiB, 0xff), 0, MiB, size - 2 * MiB);
      const more = { threads: 2, workerEntry, chunkSize: 262_144, onProgress: slowly };
      const work = convertImages(options("damaged.qcow2", "damaged.out", more));
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
      expect(existsSync(at("damaged.out"))).toBe(false);
    });

    it("stops all of them at the signal", async () => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const work = convertImages(
        options("big.qcow2", "aborted.out", {
          workerEntry,
          chunkSize: 262_144,
          signal: controller.signal,
          onProgress: ({ done, total }) => {
            if (done > total / 2) controller.abort(reason);
          },
        }),
      );
      await expect(work).rejects.toBe(reason);
      expect(existsSync(at("aborted.out"))).toBe(false);
    });

    it("hears the signal while the new image is made", async () => {
      const controller = new AbortController();
      const reason = new Error("enough");
      writeFileSync(at("huge.raw"), "");
      truncateSync(at("huge.raw"), 400 * 1024 * MiB);
      const conversion = options("huge.raw", "aborted.out", { signal: controller.signal });
      const createOptions = { preallocation: "metadata", clusterSize: 4096 };
      const work = convertImages({ ...conversion, target: { ...conversion.target, format: "qcow2", createOptions } });
      let written = Infinity;
      setTimeout(() => {
        written = statSync(at("aborted.out")).blocks * 512;
        controller.abort(reason);
      }, 100);
      await expect(work).rejects.toBe(reason);
      expect(existsSync(at("aborted.out"))).toBe(false);
      // the tables alone are twice as long
      expect(written).toBeLessThan(400 * MiB);
    });

    it("doesn't wait at the signal until another thread has finished its part", async () => {
      // it has a part, and says when that isn't wanted any more
      writeFileSync(
        at("worker/busy.js"),
        `import { parentPort, workerData } from "node:worker_threads";
         import { writeFileSync } from "node:fs";
         const counters = new Int32Array(workerData.memory, 0, 2);
         const part = Atomics.add(counters, 0, 1);
         parentPort.postMessage("begun");
         const end = performance.now() + 5000;
         while (Atomics.load(counters, 1) > part && performance.now() < end);
         writeFileSync(${JSON.stringify(at("stopped"))}, String(Atomics.load(counters, 1)));`,
      );
      const controller = new AbortController();
      const reason = new Error("enough");
      const work = convertImages(
        options("zeroless.raw", "aborted.out", {
          workerEntry: new URL("busy.js", workerEntry),
          threads: 2,
          chunkSize: 262_144,
          signal: controller.signal,
          onProgress: ({ done, total }) => {
            slowly();
            if (done === total - 8 * MiB) {
              setTimeout(() => {
                controller.abort(reason);
              }, 50);
            }
          },
        }),
      );
      await expect(work).rejects.toBe(reason);
      expect(readFileSync(at("stopped"), "utf8")).toBe("0");
      expect(existsSync(at("aborted.out"))).toBe(false);
    });
  });

  describe("with a target that exists", () => {
    it("replaces it, and keeps its permissions and what links to it", async () => {
      writeFileSync(at("old.raw"), "precious");
      chmodSync(at("old.raw"), 0o640);
      symlinkSync(at("old.raw"), at("old.link"));
      await convertImages(options("zlib.qcow2", "old.link"));
      expect(same("old.raw", disk)).toBe(true);
      expect(statSync(at("old.raw")).mode & 0o777).toBe(0o640);
    });

    it("keeps it as it was when the conversion fails, and leaves nothing else", async () => {
      writeFileSync(at("kept.raw"), "precious");
      const before = readdirSync(directory).sort();
      copyFileSync(at("zlib.qcow2"), at("bad.qcow2"));
      truncateSync(at("bad.qcow2"), statSync(at("bad.qcow2")).size - 300_000);
      await expect(convertImages(options("bad.qcow2", "kept.raw"))).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
      expect(readFileSync(at("kept.raw"), "utf8")).toBe("precious");
      rmSync(at("bad.qcow2"));
      expect(readdirSync(directory).sort()).toEqual(before);
    });

    it.each(["raw", "qcow2"])(
      "keeps it as it was when the source is cut meanwhile, which nothing else notices: %s",
      async (format) => {
        writeFileSync(at("kept.raw"), "precious");
        for (const threads of [1, 2]) {
          qemuImg("convert", "-O", format, at("disk.raw"), at("cut"));
          const { size } = statSync(at("cut"));
          const onProgress = (): void => {
            truncateSync(at("cut"), size - 512);
          };
          const more = { onProgress, threads, workerEntry, sources: [{ path: at("cut"), format }] };
          await expect(convertImages(options("cut", "kept.raw", more))).rejects.toMatchObject({ code: "ERR_IMG_BUSY" });
          expect(readFileSync(at("kept.raw"), "utf8")).toBe("precious");
        }
        rmSync(at("cut"));
      },
    );

    it("keeps it when the conversion is aborted", async () => {
      writeFileSync(at("kept.raw"), "precious");
      const signal = AbortSignal.abort(new Error("enough"));
      await expect(convertImages(options("big.qcow2", "kept.raw", { signal }))).rejects.toThrow("enough");
      expect(readFileSync(at("kept.raw"), "utf8")).toBe("precious");
    });

    it("writes a file with several names in place", async () => {
      writeFileSync(at("one.raw"), "x");
      linkSync(at("one.raw"), at("two.raw"));
      await convertImages(options("zlib.qcow2", "one.raw"));
      expect(same("two.raw", disk)).toBe(true);
    });

    it.each([
      ["by its name", "disk.raw"],
      ["by a link", "disk.link"],
      ["by another name", "disk.hard"],
    ])("refuses one that is the source %s", async (_how, name) => {
      if (name === "disk.link") symlinkSync(at("disk.raw"), at(name));
      if (name === "disk.hard") linkSync(at("disk.raw"), at(name));
      const work = convertImages(options("disk.raw", name));
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
      expect(same("disk.raw", disk)).toBe(true);
    });

    it("refuses one that a source stands on", async () => {
      const before = readFileSync(at("zlib.qcow2"));
      const work = convertImages(options("overlay.qcow2", "zlib.qcow2"));
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
      expect(same("zlib.qcow2", before)).toBe(true);
    });

    it("refuses a directory", async () => {
      await expect(convertImages(options("zlib.qcow2", "worker"))).rejects.toMatchObject({
        code: "ERR_IMG_UNSUPPORTED",
      });
    });
  });

  describe("without creating", () => {
    it("writes over what is there and keeps what is behind", async () => {
      writeFileSync(at("there.raw"), Buffer.alloc(4 * MiB, 0x55));
      await convertImages(options("zlib.qcow2", "there.raw", { skipCreate: true }));
      const found = readFileSync(at("there.raw"));
      expect(Buffer.compare(found.subarray(0, disk.length), disk)).toBe(0);
      expect(found.length).toBe(4 * MiB);
      expect(found.subarray(disk.length).every((byte) => byte === 0x55)).toBe(true);
    });

    it("leaves zeroes alone when the target is said to be zero", async () => {
      writeFileSync(at("said.raw"), "");
      truncateSync(at("said.raw"), disk.length);
      await convertImages(options("zlib.qcow2", "said.raw", { skipCreate: true, targetIsZero: true }));
      expect(same("said.raw", disk)).toBe(true);
      expect(statSync(at("said.raw")).blocks * 512).toBeLessThan(disk.length);
    });

    it.each([
      [1000, 1000],
      [1024, 1000],
      [1000, 513],
      [900, 1023],
      [700, 1025],
    ])("counts whole sectors, as qemu-img does: %i bytes into %i", async (length, room) => {
      writeFileSync(at("odd-source.raw"), disk.subarray(65536, 65536 + length));
      for (const name of ["odd.raw", "odd.expected"]) {
        writeFileSync(at(name), Buffer.alloc(room, 0x55));
      }
      qemuImg("convert", "-n", "-f", "raw", "-O", "raw", at("odd-source.raw"), at("odd.expected"));
      const given = { ...options("odd-source.raw", "odd.raw", { skipCreate: true }) };
      await convertImages({ ...given, sources: [{ path: at("odd-source.raw"), format: "raw" }] });
      expect(same("odd.raw", readFileSync(at("odd.expected")))).toBe(true);
    });

    it("doesn't fill up a last sector that has a fixed end", async () => {
      writeFileSync(at("odd-source.raw"), "odd");
      writeFileSync(at("parts.raw"), Buffer.alloc(4096, 0x55));
      const work = convertImages({
        sources: [{ path: at("odd-source.raw"), format: "raw" }],
        target: { path: at("parts.raw"), format: "raw", rawOffset: 0, rawSize: 100 } as ConvertImagesOptions["target"],
        skipCreate: true,
      });
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
      expect(same("parts.raw", Buffer.alloc(4096, 0x55))).toBe(true);
    });

    it("refuses a target that is too small, and changes nothing", async () => {
      writeFileSync(at("tiny.raw"), "tiny");
      const work = convertImages(options("zlib.qcow2", "tiny.raw", { skipCreate: true }));
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
      expect(readFileSync(at("tiny.raw"), "utf8")).toBe("tiny");
    });

    it("refuses a target that isn't there", async () => {
      const work = convertImages(options("zlib.qcow2", "nowhere.raw", { skipCreate: true }));
      await expect(work).rejects.toMatchObject({ code: "ENOENT" });
      expect(existsSync(at("nowhere.raw"))).toBe(false);
    });
  });

  describe("to qcow2", () => {
    const qcow2 = (name: string, createOptions: Record<string, unknown> = {}): Partial<ConvertImagesOptions> => ({
      target: { path: at(name), format: "qcow2", createOptions },
    });
    const judge = (name: string): void => {
      qemuImg("check", "-f", "qcow2", at(name));
      qemuImg("compare", "-f", "raw", "-F", "qcow2", at("disk.raw"), at(name));
    };

    it("makes an image that is as large as what qemu-img makes", async () => {
      await convertImages(options("disk.raw", "", qcow2("made.qcow2")));
      judge("made.qcow2");
      expect(statSync(at("made.qcow2")).size).toBe(statSync(at("plain.qcow2")).size);
    });

    it.each([
      ["zlib", {}],
      ["zstd", { compressionType: "zstd" }],
      ["zlib", { clusterSize: 4096 }],
      ["zlib", { clusterSize: 2 * MiB }],
    ])("compresses with %s and %j", async (_method, createOptions) => {
      const name = `compressed-${JSON.stringify(createOptions)}.qcow2`;
      for (const sparse of [4096, 0]) {
        await convertImages(options("disk.raw", "", { ...qcow2(name, createOptions), compressed: true, sparse }));
        judge(name);
        expect(statSync(at(name)).size).toBeLessThan(disk.length * 0.6 + 12 * MiB);
      }
    });

    it("compresses what it reads from a compressed image, cluster sizes apart", async () => {
      const more = { ...qcow2("small.out", { clusterSize: 16384 }), compressed: true };
      await convertImages(options("zlib.qcow2", "", more));
      judge("small.out");
    });

    it("writes an odd end over a larger image as it is, and keeps what is behind", async () => {
      qemuImg("create", "-f", "qcow2", at("larger.qcow2"), "8M");
      execFileSync("qemu-io", ["-c", "write -P 0x55 4M 4M", at("larger.qcow2")]);
      await convertImages(options("disk.raw", "", { ...qcow2("larger.qcow2"), compressed: true, skipCreate: true }));
      await convertImages(options("larger.qcow2", "larger.raw"));
      const found = readFileSync(at("larger.raw"));
      expect(Buffer.compare(found.subarray(0, disk.length), disk)).toBe(0);
      expect(found.subarray(4 * MiB).every((byte) => byte === 0x55)).toBe(true);
      qemuImg("check", at("larger.qcow2"));
    });

    it("can't compress into a raw image, and creates nothing", async () => {
      const work = convertImages(options("disk.raw", "raw.z", { compressed: true }));
      await expect(work).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
      expect(existsSync(at("raw.z"))).toBe(false);
    });
  });

  it("refuses what the format can't do, and creates nothing", async () => {
    const create = { path: at("new.raw"), format: "raw", createOptions: { backing: {} } };
    await expect(convertImages(options("zlib.qcow2", "", { target: create }))).rejects.toThrow();
    expect(existsSync(at("new.raw"))).toBe(false);
    const unknown = { path: at("new.vhd"), format: "vhd" };
    const work = convertImages(options("zlib.qcow2", "", { target: unknown }));
    await expect(work).rejects.toMatchObject({ code: "ERR_IMG_UNKNOWN_FORMAT" });
    expect(existsSync(at("new.vhd"))).toBe(false);
  });
});

describe("openImage", () => {
  it.each([
    [{ format: "raw", snapshot: "1" }, "disk.raw"],
    [{ format: "qcow2", rawOffset: 512 }, "zlib.qcow2"],
    [{ rawSize: 512 }, "zlib.qcow2"],
  ])("refuses %j for %s", async (spec, name) => {
    await expect(openImage({ path: at(name), ...spec })).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });

  it("shows a window of a raw file", async () => {
    await using image = await openImage({ path: at("disk.raw"), format: "raw", rawOffset: 512, rawSize: 1024 });
    const found = new Uint8Array(1024);
    await image.read(found, 0);
    expect(image.size).toBe(1024);
    expect(Buffer.compare(found, disk.subarray(512, 1536))).toBe(0);
  });

  it("lets images open only what lies within a directory when told so", async () => {
    await using image = await openImage({ path: at("overlay.qcow2"), gate: { within: directory } });
    expect(image.driver.backing?.driver.format).toBe("qcow2");
    const outside = openImage({ path: at("overlay.qcow2"), gate: { within: join(directory, "worker") } });
    await expect(outside).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
  });
});
