import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryStorage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { beginsCompressed } from "../src/images/begins-compressed.ts";
import { useOneWriter } from "../src/images/use-one-writer.ts";
import { img, qemuImg } from "./support/run-tool.ts";
import { SampleImages } from "./support/sample-images.ts";

const cluster = 65536;

describe("a short look at a disk", () => {
  it("tells whether its first data is compressed", async () => {
    const storage = new MemoryStorage();
    await using image = await qcow2.create(storage, { size: 1024 * cluster });
    expect(await beginsCompressed(image)).toBe(false);
    await image.write(new Uint8Array(cluster).fill(1), 900 * cluster);
    expect(await beginsCompressed(image)).toBe(false);
    await image.writeCompressed(new Uint8Array(cluster).fill(1), 600 * cluster);
    expect(await beginsCompressed(image)).toBe(true);
    await image.write(new Uint8Array(cluster).fill(1), 500 * cluster);
    expect(await beginsCompressed(image)).toBe(false);
  });
});

describe("one writer", () => {
  it("is what libuv is told, unless the user has told it something", () => {
    const empty: NodeJS.ProcessEnv = {};
    useOneWriter(empty);
    expect(empty).toEqual({ UV_THREADPOOL_SIZE: "1" });
    const chosen = { UV_THREADPOOL_SIZE: "6" };
    useOneWriter(chosen);
    expect(chosen).toEqual({ UV_THREADPOOL_SIZE: "6" });
  });
});

describe("a qcow2 image that is written while its source is read", () => {
  const length = 24 * 1024 * 1024;
  let images: SampleImages;

  beforeAll(() => {
    images = new SampleImages();
    // runs of all lengths, some beyond what is written at once, some far below
    const disk = new Uint8Array(length);
    for (let at = 0, run = 1; at < length; at += 2 * run, run = (run * 5 + 4096) % (3 * 1024 * 1024)) {
      disk.fill(1 + (run % 255), at, at + run);
    }
    writeFileSync(join(images.directory, "runs.raw"), disk);
  });
  afterAll(() => {
    images.remove();
  });

  it.each([[[]], [["-t", "unsafe"]], [["-o", "cluster_size=4k"]], [["-c"]]])(
    "with %j is the one that a single thread writes",
    (options) => {
      const convert = (...args: readonly string[]): void => {
        const result = img(["convert", "-O", "qcow2", ...options, ...args], images.directory);
        expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
      };
      convert("runs.raw", "beside.qcow2");
      convert("-m", "1", "runs.raw", "alone.qcow2");
      const [beside, alone] = ["beside.qcow2", "alone.qcow2"].map((name) => readFileSync(join(images.directory, name)));
      expect(beside?.equals(alone ?? new Uint8Array())).toBe(true);
      expect(qemuImg(["check", "beside.qcow2"], images.directory)).toMatchObject({ code: 0 });
      expect(qemuImg(["compare", "beside.qcow2", "runs.raw"], images.directory)).toMatchObject({ code: 0 });
    },
  );
});
