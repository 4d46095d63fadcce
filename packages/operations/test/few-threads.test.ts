import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MemoryStorage, runAsync } from "@img/format-core";
import { raw } from "@img/raw";
import { afterAll, describe, expect, it } from "vitest";
import { compareImageFiles, convertImages, PreparedThread } from "../src/node.ts";
import { PartThreads } from "../src/node/part-threads.ts";
import { ReaderThreads } from "../src/node/reader-threads.ts";
import { ThreadStarter } from "../src/node/thread-starter.ts";
import { SharedParts } from "../src/parts/shared-parts.ts";
import { fewThreads } from "./support/few-threads.ts";

const MiB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "img-few-"));

/** A module that stays until it is ended. */
const path = join(directory, "stay.mjs");
writeFileSync(path, "setInterval(() => {}, 1000);");
const workerEntry = pathToFileURL(path);

/** What a thread has that is gone. */
const gone = -1;

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe("on a host that lets few threads start", () => {
  it.skipIf(availableParallelism() < 2)("none is started beforehand", () => {
    using host = fewThreads(0);
    expect(PreparedThread.start(workerEntry)).toBeUndefined();
    expect(host.refused).toBe(1);
  });

  it.each([0, 1])("those that read are %i, which are ended, and no more are asked for", async (most) => {
    using host = fewThreads(most);
    const readers = new ReaderThreads({ specs: [], files: [] }, new ThreadStarter({ threads: 4, workerEntry }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    for (let count = 0; count < 3; count++) {
      readers.consider({ done: 1, total: 1024 * MiB, packed: true });
    }
    await runAsync(readers.close());
    expect(host.started.map(({ threadId }) => threadId)).toEqual(Array.from({ length: most }, () => gone));
    expect(host.refused).toBe(1);
  });

  it.each([0, 1, 2])(
    "those that help with parts are %i, which are waited for, and no more are asked for",
    async (most) => {
      using host = fewThreads(most);
      class Long extends MemoryStorage {
        override allocatedSize(): number {
          return 256 * MiB;
        }
      }
      const images = [await raw.open(new Long(new Uint8Array(MiB)))];
      const starter = new ThreadStarter({ threads: 4, workerEntry });
      const helper = new PartThreads(({ total, memory }) => ({ kind: "test", total, memory }), images, starter);
      const parts = new SharedParts(MiB);
      for (let count = 0; count < 3; count++) {
        await runAsync(helper.consider(parts));
      }
      await runAsync(helper.end());
      expect(host.started.map(({ threadId }) => threadId)).toEqual(Array.from({ length: most }, () => gone));
      expect(host.refused).toBe(1);
    },
  );

  it("images are converted and compared all the same", async () => {
    using host = fewThreads(0);
    const contents = new Uint8Array(48 * MiB).fill(1);
    const [source, target] = [join(directory, "source.raw"), join(directory, "target.raw")];
    writeFileSync(source, contents);
    /** Takes long enough for help to be worth it. */
    const onProgress = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    const sources = [{ path: source, format: "raw" }];
    const how = { threads: 2, workerEntry, onProgress };
    const result = await convertImages({ sources, target: { path: target, format: "raw" }, chunkSize: MiB, ...how });
    expect(result).toEqual({ size: 48 * MiB, written: 48 * MiB, threads: 1 });
    expect(Buffer.compare(readFileSync(target), contents)).toBe(0);
    const raws = [source, target].map((file) => ({ path: file, format: "raw" }));
    expect(await compareImageFiles(raws[0]!, raws[1]!, how)).toEqual({ identical: true, sizeDiffers: false });
    expect(host.refused).toBe(2);
  });
});
