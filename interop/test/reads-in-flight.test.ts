import { readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { MemoryStorage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { DelayStorage } from "@img/testing";
import { expectBytes } from "../src/expect-bytes.ts";
import { diskContents } from "../src/guest-contents.ts";
import { Random } from "../src/random.ts";
import { expectedOfRead, oddReads, scattered } from "../src/read-everything.ts";
import { randomFor, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const size = 1 << 20;
const layouts = [
  ["zlib", 4096, "cluster_size=4k"],
  ["zstd", 16384, "cluster_size=16k,compression_type=zstd,extended_l2=on"],
  ["zlib, clusters of 512 bytes", 512, "cluster_size=512"],
] as const;

describe(`many reads in flight on a slow storage, seed ${runSeed}`, () => {
  const contents = diskContents(size, randomFor("reads in flight"));
  const images = new Map<string, Uint8Array>();

  beforeAll(() => {
    using directory = new TemporaryDirectory();
    writeFileSync(directory.file("source.raw"), contents);
    for (const [, , options] of layouts) {
      const path = directory.file("image.qcow2");
      const source = directory.file("source.raw");
      runTool("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, path]);
      images.set(options, new Uint8Array(readFileSync(path)));
    }
  });

  for (const [name, clusterSize, options] of layouts) {
    for (const caches of [{}, { l2CacheSize: 1, clusterCacheSize: 1 }]) {
      const which = "l2CacheSize" in caches ? "that hold nothing" : "of usual size";
      test(`${name}: 3000 odd reads, up to 64 at once, with caches ${which}`, async () => {
        for (let round = 0; round < 3; round++) {
          const random = new Random(`${runSeed}/in flight/${options}/${String(round)}`);
          const storage = new DelayStorage(new MemoryStorage(images.get(options)), { seed: round });
          await using access = await qcow2.open(storage, caches);
          const reads = oddReads(size, clusterSize, 1000, random);
          let next = 0;
          const worker = async (): Promise<void> => {
            for (let read = reads[next++]; read !== undefined; read = reads[next++]) {
              const buffer = new Uint8Array(read.length);
              await access.readv(scattered(buffer, read.buffers), read.offset);
              expectBytes(buffer, expectedOfRead(contents, read), "an odd read", read.offset);
            }
          };
          await Promise.all(Array.from({ length: 64 }, worker));
          expect(next).toBeGreaterThan(reads.length);
        }
      });
    }
  }

  test.each(layouts)("%s: closing waits for reads in flight, and refuses those after it", async (_, __, options) => {
    const access = await qcow2.open(new DelayStorage(new MemoryStorage(images.get(options))));
    const buffers = Array.from({ length: 32 }, () => new Uint8Array(10_000));
    const reads = buffers.map((buffer, index) => access.read(buffer, 30_000 * index));
    const closing = access.close();
    await expect(access.read(new Uint8Array(10), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await Promise.all(reads);
    await closing;
    for (const [index, buffer] of buffers.entries()) {
      expectBytes(buffer, contents.subarray(30_000 * index, 30_000 * index + 10_000), "a read that was in flight");
    }
  });
});
