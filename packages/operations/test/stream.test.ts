import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { FormatRegistry, ImgError, MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { AsyncStorage, SeededRandom } from "@img/testing";
import { afterAll, describe, expect, it } from "vitest";
import { streamImage, streamImageSync, type StreamedImage, type StreamOptions } from "../src/index.ts";
import { streamImageFiles, streamImageFilesSync } from "../src/node.ts";

const directory = mkdtempSync(join(tmpdir(), "img-stream-"));
const file = (name: string): string => join(directory, name);
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const random = new SeededRandom(11);
const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", cwd: directory });
}

async function collect({ length, chunks }: Pick<StreamedImage, "length" | "chunks">): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    parts.push(chunk);
  }
  const bytes = Buffer.concat(parts);
  expect(bytes.length).toBe(length);
  return bytes;
}

/** Data, zeroes and holes in turn. */
function makeDisk(size: number): Buffer {
  const disk = Buffer.alloc(size);
  for (let at = 0; at < size; at += 300_000) {
    disk.set(random.bytes(Math.min(100_000, size - at)), at);
  }
  return disk;
}

const disk = makeDisk(5 * 1024 * 1024 + 1000);
writeFileSync(file("disk.raw"), disk);
qemuImg("convert", "-O", "qcow2", "disk.raw", "disk.qcow2");
qemuImg("convert", "-c", "-O", "qcow2", "-o", "cluster_size=4k", "disk.raw", "small.qcow2");
qemuImg("create", "-q", "-f", "qcow2", "-b", "disk.qcow2", "-F", "qcow2", "over.qcow2");
execFileSync("qemu-io", ["-c", "write -P 7 1M 70k", "-c", "write -z 3M 256k", file("over.qcow2")]);
const formats = new FormatRegistry([qcow2, raw]);
const padded = Buffer.concat([disk, Buffer.alloc(512 - (disk.length % 512))]);

/** A disk in memory whose every byte is data. */
const open = (bytes: Uint8Array): Promise<FormatAccess> => raw.open(new MemoryStorage(bytes));

describe("a streamed image", () => {
  it.each([
    ["disk.raw", {}],
    ["disk.qcow2", {}],
    ["disk.qcow2", { detect: "contents" }],
    ["disk.raw", { detect: "nothing" }],
    ["small.qcow2", { createOptions: { extendedL2: true, clusterSize: 16384 } }],
    // what the host says of holes changes when they are read, what is in them doesn't
    ["over.qcow2", { detect: "contents", createOptions: { compat: "0.10", clusterSize: 512 }, chunkSize: 1000 }],
  ] as const)("of %s is sound and equal, both ways and every time: %j", async (name, more) => {
    const options: StreamOptions = { format: "qcow2", ...more };
    const spec = { path: file(name), gate: "allow-all" } as const;
    const bytes = await collect(await streamImageFiles([spec], options));
    writeFileSync(file("streamed.qcow2"), bytes);
    expect(qemuImg("check", "streamed.qcow2")).toContain("No errors were found");
    qemuImg("compare", name, "streamed.qcow2");
    const again = streamImageFilesSync([spec], { ...options, chunkSize: 65536, memory: 0 });
    const second = Buffer.concat([...again.chunks]);
    expect(sha(second)).toBe(sha(bytes));
  });

  it("stores nothing of what the sources know to be zero, and finds more when it looks", async () => {
    const zeroes = await open(new Uint8Array(4 * 1024 * 1024));
    const lengths = await Promise.all(
      (["contents", "allocation", "nothing"] as const).map(
        async (detect) => (await streamImage([zeroes], { format: "qcow2", detect })).length,
      ),
    );
    const meta = 4 * 65536;
    expect(lengths).toEqual([meta, meta + 65536 + 4 * 1024 * 1024, meta + 65536 + 4 * 1024 * 1024]);
  });

  it("of several disks is one behind the other", async () => {
    const sources = await Promise.all([open(disk), open(disk.subarray(0, 777))]);
    const bytes = await collect(await streamImage(sources, { format: "raw", chunkSize: 70_000 }));
    expect(sha(bytes)).toBe(sha(Buffer.concat([padded, disk.subarray(0, 777), Buffer.alloc(1024 - 777)])));
    const image = await streamImage(sources, { format: "qcow2" });
    writeFileSync(file("both.qcow2"), await collect(image));
    qemuImg("convert", "-O", "raw", "both.qcow2", "both.raw");
    expect(sha(readFileSync(file("both.raw")))).toBe(sha(bytes));
  });
});

describe("a streamed image above another one", () => {
  const backingFile = { name: file("disk.qcow2"), format: "qcow2" };
  const over = { path: file("over.qcow2"), gate: "allow-all" } as const;

  it("has only what isn't below, as far as that is known without reading", async () => {
    const stream = await streamImageFiles([over], { format: "qcow2", gate: "allow-all", backingFile });
    // header, two refcount tables, L1 and L2, and two clusters: 70 KiB from 1 MiB on
    expect(stream.length).toBe((5 + 2) * 65536);
    writeFileSync(file("above.qcow2"), await collect(stream));
    expect(qemuImg("check", "above.qcow2")).toContain("No errors were found");
    qemuImg("compare", "over.qcow2", "above.qcow2");
  });

  it("takes a copy of what is below for something else, unless it looks", async () => {
    qemuImg("convert", "-O", "qcow2", "over.qcow2", "flat.qcow2");
    const flat = { path: file("flat.qcow2") };
    const options = { format: "qcow2", gate: "allow-all", backingFile } as const;
    const blind = await streamImageFiles([flat], options);
    expect(blind.length).toBeGreaterThan(20 * 65536);
    writeFileSync(file("blind.qcow2"), await collect(blind));
    const seeing = await streamImageFiles([flat], { ...options, detect: "contents" });
    expect(seeing.length).toBe((5 + 2) * 65536);
    writeFileSync(file("seeing.qcow2"), await collect(seeing));
    for (const name of ["blind.qcow2", "seeing.qcow2"]) {
      expect(qemuImg("check", name)).toContain("No errors were found");
      qemuImg("compare", "over.qcow2", name);
    }
  });

  it("leaves nothing out when nothing is known of the one below", async () => {
    const source = await formats.open(new MemoryStorage(readFileSync(file("disk.qcow2"))), {});
    const stream = await streamImage([source], { format: "qcow2", backing: null, backingFile });
    writeFileSync(file("complete.qcow2"), await collect(stream));
    qemuImg("compare", "disk.qcow2", "complete.qcow2");
    await expect(streamImage([source], { format: "qcow2", backingFile })).rejects.toMatchObject({
      code: "ERR_IMG_DENIED",
    });
  });
});

describe("chunks", () => {
  const chunkSize = 4096;
  const size = 100 * chunkSize;

  /** An image that says how many bytes were read of it. */
  async function counted(): Promise<{ image: FormatAccess; read: () => number }> {
    let bytes = 0;
    class Counting extends MemoryStorage {
      override read(...args: Parameters<MemoryStorage["read"]>): void {
        bytes += args[0].length;
        super.read(...args);
      }
    }
    const image = await raw.open(new AsyncStorage(new Counting(random.bytes(size))));
    return { image, read: () => bytes };
  }

  /** When nothing is under way any more: storages in memory answer within a few turns of the event loop. */
  async function settled(): Promise<void> {
    for (let turn = 0; turn < 100; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  it.each([0, 1, 2, 5])("are read at most %i ahead of a slow sink", async (readAhead) => {
    const { image, read } = await counted();
    const { chunks } = await streamImage([image], { format: "raw", chunkSize, readAhead });
    expect(read()).toBe(0);
    for (let taken = 1; taken <= 20; taken++) {
      await chunks.next();
      await settled();
      expect(read()).toBe((taken + readAhead) * chunkSize);
    }
    await chunks.return?.();
    expect(read()).toBeLessThanOrEqual((20 + readAhead) * chunkSize);
    expect(await chunks.next()).toEqual({ done: true, value: undefined });
  });

  it("are buffers of their own, in order, however many are asked for at once", async () => {
    const { image } = await counted();
    const { chunks, length } = await streamImage([image], { format: "raw", chunkSize });
    const results = await Promise.all(Array.from({ length: length / chunkSize + 2 }, () => chunks.next()));
    const buffers = results.flatMap((result) => (result.done === true ? [] : [result.value]));
    expect(new Set(buffers.map(({ buffer }) => buffer)).size).toBe(100);
    const whole = new Uint8Array(size);
    await image.read(whole, 0);
    expect(sha(Buffer.concat(buffers))).toBe(sha(whole));
    expect(results.slice(-2).every(({ done }) => done === true)).toBe(true);
  });

  it("tell how far the stream is when they are handed out", async () => {
    const { image } = await counted();
    for (const sync of [false, true]) {
      const told: number[] = [];
      const options: StreamOptions = {
        format: "raw",
        chunkSize: 40 * chunkSize,
        onProgress: ({ done, total }) => {
          told.push(done / total);
        },
      };
      const memory = await open(new Uint8Array(size));
      for await (const chunk of sync
        ? streamImageSync([memory], options).chunks
        : (await streamImage([image], options)).chunks) {
        expect(chunk.length).toBeGreaterThan(0);
      }
      expect(told).toEqual([0.4, 0.8, 1]);
    }
  });

  it("end with an error, never early, when the source can't be read", async () => {
    class Failing extends MemoryStorage {
      override read(...args: Parameters<MemoryStorage["read"]>): void {
        if (args[1] + args[0].length > 50 * chunkSize) {
          throw new ImgError("EIO", "the disk is broken");
        }
        super.read(...args);
      }
    }
    const image = await raw.open(new AsyncStorage(new Failing(random.bytes(size))));
    for (const format of ["raw", "qcow2"] as const) {
      const { chunks, length } = await streamImage([image], { format, chunkSize });
      let given = 0;
      const reading = (async () => {
        for await (const chunk of chunks) {
          given += chunk.length;
        }
      })();
      await expect(reading).rejects.toMatchObject({ code: "EIO" });
      expect(given).toBeGreaterThan(0);
      expect(given).toBeLessThan(length);
      expect(await chunks.next()).toEqual({ done: true, value: undefined });
    }
  });

  it("end with an error when the source gets another size", async () => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size: 1024 * 1024 });
    const { chunks } = await streamImage([image], { format: "raw", chunkSize, readAhead: 0 });
    await chunks.next();
    await image.resize(2 * 1024 * 1024);
    await expect(chunks.next()).rejects.toMatchObject({ code: "ERR_IMG_BUSY" });
  });

  it.each(["raw", "qcow2"] as const)(
    "end with an error when the source's file is cut meanwhile: %s",
    async (format) => {
      for (const [name, sourceFormat] of [
        ["cut.raw", "raw"],
        ["cut.qcow2", "qcow2"],
      ] as const) {
        writeFileSync(file("whole.raw"), new Uint8Array(1024 * 1024).fill(1));
        qemuImg("convert", "-O", sourceFormat, file("whole.raw"), file(name));
        const sources = [{ path: file(name), format: sourceFormat }];
        await using streamed = await streamImageFiles(sources, { format, chunkSize, readAhead: 0 });
        let given = 0;
        const reading = (async () => {
          for await (const chunk of streamed.chunks) {
            given += chunk.length;
            truncateSync(file(name), 700_000);
          }
        })();
        await expect(reading).rejects.toMatchObject({ code: "ERR_IMG_BUSY" });
        expect(given).toBeGreaterThan(0);
        expect(given).toBeLessThan(streamed.length);
      }
    },
  );

  it("end with an error without waiting, too, when the source's file is cut meanwhile", () => {
    writeFileSync(file("cut.raw"), new Uint8Array(1024 * 1024).fill(1));
    using streamed = streamImageFilesSync([{ path: file("cut.raw"), format: "raw" }], { format: "raw", chunkSize });
    streamed.chunks.next();
    truncateSync(file("cut.raw"), 700_000);
    expect(() => [...streamed.chunks]).toThrow(
      `file:${JSON.stringify(file("cut.raw"))} has 700000 bytes now: expected at least 1048576, as when it began to be read`,
    );
  });

  it("end with the reason when they are aborted, also behind chunks that are ready", async () => {
    const { image } = await counted();
    const controller = new AbortController();
    const reason = new Error("enough");
    const { chunks } = await streamImage([image], { format: "raw", chunkSize, signal: controller.signal });
    await chunks.next();
    controller.abort(reason);
    await expect(chunks.next()).rejects.toBe(reason);
    expect(await chunks.next()).toEqual({ done: true, value: undefined });
    await expect(streamImage([image], { format: "qcow2", signal: controller.signal })).rejects.toBe(reason);
  });

  it("of files let the files go when they end, fail, or aren't wanted", async () => {
    const options = { format: "qcow2", chunkSize } as const;
    const wholly = await streamImageFiles([{ path: file("disk.qcow2") }], options);
    await collect(wholly);
    const partly = await streamImageFiles([{ path: file("disk.qcow2") }], options);
    for await (const chunk of partly.chunks) {
      expect(chunk.length).toBe(chunkSize);
      break;
    }
    const never = await streamImageFiles([{ path: file("disk.qcow2") }], options);
    await never.close();
    await never.close();
    const sync = streamImageFilesSync([{ path: file("disk.qcow2") }], options);
    sync.close();
    // whoever writes it would be kept away by whoever still reads it
    const image = await import("../src/node.ts").then(({ openImage }) =>
      openImage({ path: file("disk.qcow2"), format: "qcow2", writable: true }),
    );
    await image.close();
  });
});

describe("an upload", () => {
  it("has the length that was told, and no temporary file", async () => {
    const received: Buffer[] = [];
    let told: string | undefined;
    const server = createServer((request, response) => {
      told = request.headers["content-length"];
      request.on("data", (chunk: Buffer) => received.push(chunk));
      request.on("end", () => response.end());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { length, chunks } = await streamImageFiles([{ path: file("small.qcow2") }], { format: "qcow2" });
    const response = await fetch(`http://127.0.0.1:${String(port)}/image`, {
      method: "PUT",
      headers: { "content-length": String(length) },
      body: ReadableStream.from(chunks),
      duplex: "half",
    });
    expect(response.status).toBe(200);
    server.close();
    expect(told).toBe(String(length));
    writeFileSync(file("received.qcow2"), Buffer.concat(received));
    expect(qemuImg("check", "received.qcow2")).toContain("No errors were found");
    qemuImg("compare", "small.qcow2", "received.qcow2");
  });

  it("is read by Node's streams as well", async () => {
    const { chunks } = await streamImage([await open(disk)], { format: "raw" });
    const parts: Uint8Array[] = [];
    for await (const chunk of Readable.from(chunks, { objectMode: false })) {
      parts.push(chunk as Uint8Array);
    }
    expect(sha(Buffer.concat(parts))).toBe(sha(padded));
  });
});

describe("what can't be streamed", () => {
  it.each([
    [{ format: "raw", backingFile: { name: "a", format: "raw" } }, "ERR_IMG_UNSUPPORTED"],
    [{ format: "raw", createOptions: { preallocation: "full" } }, "ERR_IMG_UNSUPPORTED"],
    [{ format: "qcow2", createOptions: { compressed: true } }, "ERR_IMG_UNSUPPORTED"],
    [{ format: "qcow2", createOptions: { dataFileName: "d" } }, "ERR_IMG_UNSUPPORTED"],
    [
      { format: "qcow2", detect: "nothing", backing: null, backingFile: { name: "a", format: "raw" } },
      "ERR_IMG_UNSUPPORTED",
    ],
  ] as const)("is refused by name: %j", async (options, code) => {
    const image = await open(disk);
    await expect(streamImage([image], options)).rejects.toMatchObject({ code });
    expect(() => streamImageSync([image], options)).toThrow(ImgError);
  });

  it("is no stream at all", async () => {
    const image = await open(disk);
    await expect(streamImage([], { format: "raw" })).rejects.toThrow(RangeError);
    for (const wrong of [{ chunkSize: 1 }, { readAhead: -1 }, { rate: 0 }]) {
      await expect(streamImage([image], { format: "raw", ...wrong })).rejects.toThrow(RangeError);
    }
    runSync(image.io.close());
  });
});
