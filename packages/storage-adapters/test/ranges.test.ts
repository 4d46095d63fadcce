import { openAsBlob, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { ImgError, isImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { afterEach, describe, expect, it } from "vitest";
import { blobStorage, rangeStorage, type RangeSource } from "../src/index.ts";
import { pattern, readBytes } from "./support/bytes.ts";
import { scratch } from "./support/scratch.ts";

const directory = scratch();
const contents = pattern(100_000);

/** A source of `contents`, and what it was asked for. */
function source(options: Partial<RangeSource> = {}): RangeSource & { readonly asked: [number, number][] } {
  const asked: [number, number][] = [];
  return {
    size: contents.length,
    getRange: (offset, length) => {
      asked.push([offset, length]);
      return contents.slice(offset, offset + length);
    },
    ...options,
    asked,
  };
}

describe("ranges", () => {
  it("asks for nothing that lies behind the end, and for nothing at all when nothing is read", async () => {
    const ranges = source();
    const storage = rangeStorage(ranges);
    await storage.read(new IoVector(), 5);
    expect(await readBytes(storage, 200_000, 10)).toEqual(new Uint8Array(10));
    expect(await readBytes(storage, 99_990, 20)).toEqual(
      Uint8Array.from([...contents.subarray(99_990), ...new Uint8Array(10)]),
    );
    expect(ranges.asked).toEqual([[99_990, 10]]);
  });

  it("splits long reads, and asks for a few parts at once", async () => {
    let inFlight = 0;
    let most = 0;
    const ranges = source({
      maxRequest: 1000,
      concurrency: 3,
      getRange: async (offset, length) => {
        most = Math.max(most, ++inFlight);
        await new Promise(setImmediate);
        inFlight--;
        expect(length).toBeLessThanOrEqual(1000);
        return contents.slice(offset, offset + length);
      },
    });
    const storage = rangeStorage(ranges);
    const reads = await Promise.all([readBytes(storage, 0, 50_000), readBytes(storage, 50_000, 50_000)]);
    expect(Buffer.concat(reads).equals(contents)).toBe(true);
    expect(most).toBe(3);
  });

  it("asks for the rest when an answer is short", async () => {
    const ranges = source();
    const { getRange } = ranges;
    const storage = rangeStorage({
      ...ranges,
      getRange: (at, length, signal) => getRange(at, Math.min(length, 7), signal),
    });
    expect(await readBytes(storage, 10, 20)).toEqual(contents.slice(10, 30));
    expect(ranges.asked).toEqual([
      [10, 7],
      [17, 7],
      [24, 6],
    ]);
  });

  it.each([
    ["more than it was asked for", contents, "found 100000 bytes"],
    ["nothing", new Uint8Array(0), "found 0 bytes"],
    ["a string", "bytes" as unknown as Uint8Array, "found a value of type string"],
    ["undefined", undefined as unknown as Uint8Array, "found a value of type undefined"],
  ])("refuses an answer of %s instead of taking it for the range", async (_, answer, message) => {
    const storage = rangeStorage({ ...source(), label: "bucket/key", getRange: () => answer });
    const error = await readBytes(storage, 16, 100).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "EIO", subject: "bucket/key" });
    expect((error as Error).message).toBe(`bucket/key: asked for 100 bytes at 0x10, ${message}`);
  });

  it("says what failed, with the code of the failure or of its cause", async () => {
    const failures: [unknown, string][] = [
      [new Error("boom"), "EIO"],
      ["boom", "EIO"],
      [Object.assign(new Error("boom"), { code: "ECONNRESET" }), "ECONNRESET"],
      [new TypeError("boom", { cause: Object.assign(new Error(), { code: "ENOTFOUND" }) }), "ENOTFOUND"],
      [new DOMException("boom", "NotReadableError"), "EIO"],
      [new DOMException("boom", "TimeoutError"), "ETIMEDOUT"],
      [new DOMException("boom", "NotFoundError"), "ENOENT"],
    ];
    for (const [failure, code] of failures) {
      const storage = rangeStorage({
        ...source(),
        label: "bucket",
        getRange: () => {
          throw failure;
        },
      });
      const error: unknown = await readBytes(storage, 0, 8).catch((reason: unknown) => reason);
      expect(isImgError(error, code), String(error)).toBe(true);
      expect(error).toMatchObject({ message: "bucket: cannot read 8 bytes at 0x0: boom", cause: failure });
    }
  });

  it("passes its own errors and aborts on as they are", async () => {
    for (const failure of [new ImgError("ERR_IMG_DENIED", "no"), new DOMException("stop", "AbortError")]) {
      const storage = rangeStorage({ ...source(), getRange: () => Promise.reject(failure) });
      await expect(readBytes(storage, 0, 8)).rejects.toBe(failure);
    }
  });

  it("asks for nothing more once a read has failed", async () => {
    const storage = rangeStorage(
      source({
        maxRequest: 100,
        concurrency: 4,
        getRange: async () => {
          asked++;
          await new Promise(setImmediate);
          throw Object.assign(new Error("down"), { code: "ECONNREFUSED" });
        },
      }),
    );
    let asked = 0;
    await expect(readBytes(storage, 0, 100_000)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(asked).toBe(4);
  });

  it("says what failed of what can't be made text, too", async () => {
    const thrown: unknown = Object.create(null);
    const storage = rangeStorage(source({ getRange: () => Promise.reject(thrown) }));
    const message = "ranges: cannot read 3 bytes at 0x0: a value of type object";
    await expect(readBytes(storage, 0, 3)).rejects.toMatchObject({ code: "EIO", message, cause: thrown });
  });

  it("touches no buffer any more once a read has failed", async () => {
    let finish: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (finish = resolve));
    const storage = rangeStorage({
      ...source({ maxRequest: 10 }),
      getRange: async (offset, length) => {
        if (offset === 0) {
          throw new Error("first part");
        }
        await late;
        return contents.slice(offset, offset + length);
      },
    });
    let failed = false;
    const read = readBytes(storage, 0, 20).catch(() => (failed = true));
    await new Promise(setImmediate);
    expect(failed).toBe(false);
    finish();
    await read;
    expect(failed).toBe(true);
  });

  it("aborts what is in flight when it is closed, and closes the source after that", async () => {
    const events: string[] = [];
    const storage = rangeStorage({
      ...source(),
      getRange: (_offset, _length, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            events.push("aborted");
            reject(new DOMException("request aborted", "AbortError"));
          });
        }),
      close: () => {
        events.push("closed");
      },
    });
    const read = expect(readBytes(storage, 0, 8)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await storage[Symbol.asyncDispose]();
    await read;
    expect(events).toEqual(["aborted", "closed"]);
  });

  it("wants numbers that make sense", () => {
    for (const wrong of [{ size: -1 }, { size: 1.5 }, { size: Number.NaN }, { maxRequest: 0 }, { concurrency: 0.5 }]) {
      expect(() => rangeStorage(source(wrong))).toThrow(RangeError);
    }
  });

  it("is wrong about no offset, as the caller's mistake", () => {
    const storage = rangeStorage(source());
    expect(() => storage.read(IoVector.single(new Uint8Array(1)), -1)).toThrow(RangeError);
    expect(() => storage.read(IoVector.single(new Uint8Array(1)), Number.MAX_SAFE_INTEGER)).toThrow(RangeError);
  });
});

describe("ranges over HTTP", () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    closing.splice(0).forEach((close) => {
      close();
    });
  });

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return typeof address === "object" ? `http://127.0.0.1:${String(address?.port)}/` : "";
  }

  function overHttp(url: string): RangeSource {
    return {
      size: contents.length,
      label: url,
      async getRange(offset, length, signal): Promise<ArrayBuffer> {
        const headers = { Range: `bytes=${String(offset)}-${String(offset + length - 1)}` };
        return (await fetch(url, { headers, signal })).arrayBuffer();
      },
    };
  }

  it("refuses what a server gives that doesn't know ranges", async () => {
    const storage = rangeStorage(overHttp(await serve((_request, response) => response.end(contents))));
    await expect(readBytes(storage, 10, 10)).rejects.toMatchObject({ code: "EIO" });
    // all of it is all that was asked for
    expect(Buffer.compare(await readBytes(storage, 0, contents.length), contents)).toBe(0);
  });

  it("names the host's reason when nobody answers", async () => {
    const url = await serve(() => undefined);
    closing.splice(0).forEach((close) => {
      close();
    });
    await expect(readBytes(rangeStorage(overHttp(url)), 0, 10)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("gives up a request that hangs when it is closed", async () => {
    const storage = rangeStorage(overHttp(await serve(() => undefined)));
    const read = expect(readBytes(storage, 0, 8)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await storage[Symbol.asyncDispose]();
    await read;
  });
});

describe("blobs", () => {
  it("are called what the user's file is called", () => {
    expect(blobStorage(new Blob([])).label).toBe("blob");
    expect(blobStorage(new Blob([]), { label: "upload" }).label).toBe("upload");
    expect(blobStorage(Object.assign(new Blob([]), { name: 'a "b".img' })).label).toBe('file:"a \\"b\\".img"');
  });

  it("fail to be read when the file behind them has changed", async () => {
    const path = join(directory, "changing");
    writeFileSync(path, contents);
    const storage = blobStorage(await openAsBlob(path), { label: "changing" });
    expect(Buffer.compare(await readBytes(storage, 0, 100), contents.subarray(0, 100))).toBe(0);
    writeFileSync(path, pattern(50_000, 2));
    const error: unknown = await readBytes(storage, 60_000, 10).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "EIO", cause: { name: "NotReadableError" } });
    expect((error as Error).message).toMatch(/^changing: cannot read 10 bytes at 0xea60: /);
  });

  it("fail to be read when less comes than they have", async () => {
    const storage = blobStorage({ size: 100, slice: () => new Blob([]) });
    await expect(readBytes(storage, 0, 10)).rejects.toMatchObject({ code: "EIO" });
  });

  it("load only what is read, at most 8 MiB in one piece", async () => {
    const slices: [number, number][] = [];
    const storage = blobStorage({
      size: 2 ** 40,
      slice: (start, end) => {
        slices.push([start, end]);
        return new Blob([new Uint8Array(end - start)]);
      },
    });
    await readBytes(storage, 2 ** 39, 20 * 2 ** 20);
    expect(slices.map(([start, end]) => [start - 2 ** 39, end - start])).toEqual([
      [0, 2 ** 23],
      [2 ** 23, 2 ** 23],
      [2 ** 24, 2 ** 22],
    ]);
  });

  it("refuse to be written by name", async () => {
    const storage = blobStorage(new Blob([contents]));
    await expect(async () => storage.write(IoVector.single(pattern(1)), 0)).rejects.toMatchObject({
      code: "ERR_IMG_READ_ONLY",
    });
  });
});
