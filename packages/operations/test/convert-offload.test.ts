import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { raw } from "@img/raw";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convert, convertSync } from "../src/index.ts";
import { convertImages, convertImagesSync, type ConvertImagesSyncOptions } from "../src/node.ts";

const MiB = 1024 * 1024;
let directory: string;

function at(name: string): string {
  return join(directory, name);
}

function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8" });
}

/** Random bytes, zeroes that are written, and holes, in pieces of 64 KiB; the end isn't aligned to anything. */
function makeDisk(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 5;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = (at >> 16) % 3 === 0 ? state >>> 24 : 0;
  }
  return bytes;
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-offload-"));
  writeFileSync(at("disk.raw"), makeDisk(5 * MiB + 512));
  for (const [name, ...options] of [
    ["plain.qcow2"],
    ["packed.qcow2", "-c"],
    ["small.qcow2", "-o", "cluster_size=4k"],
  ]) {
    qemuImg("convert", "-O", "qcow2", ...options, at("disk.raw"), at(name!));
  }
  qemuImg("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "plain.qcow2", at("above.qcow2"));
  execFileSync("qemu-io", ["-c", "write -P 7 100k 300k", "-c", "write -z 1M 1M", at("above.qcow2")]);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function options(source: string, format: string): ConvertImagesSyncOptions {
  return {
    sources: [{ path: at(source), gate: "allow-all" }],
    target: { path: at("target"), format },
    offload: true,
    sync: false,
  };
}

describe("conversion that lets the host copy", () => {
  describe.each(["raw", "qcow2"])("to %s", (format) => {
    it.each(["disk.raw", "plain.qcow2", "packed.qcow2", "small.qcow2", "above.qcow2"])(
      "of %s gives the same disk",
      async (source) => {
        for (const world of ["async", "sync"]) {
          await (world === "async"
            ? convertImages(options(source, format))
            : convertImagesSync(options(source, format)));
          expect(qemuImg("compare", "-F", format, at(source), at("target"))).toContain("Images are identical");
          if (format === "qcow2") qemuImg("check", at("target"));
        }
      },
    );
  });

  it("doesn't look for zeroes in what the host copies", async () => {
    writeFileSync(at("zeroes.raw"), new Uint8Array(4 * MiB));
    const { written } = await convertImages(options("zeroes.raw", "raw"));
    expect(written).toBe(4 * MiB);
    expect(statSync(at("target")).blocks * 512).toBe(4 * MiB);
  });

  it("reads and writes by itself between storages that can't", async () => {
    const bytes = new Uint8Array(readFileSync(at("disk.raw")));
    for (const world of ["async", "sync"]) {
      const source = await raw.open(new MemoryStorage(bytes.slice()));
      const storage = new MemoryStorage(new Uint8Array(bytes.length));
      const target = await raw.open(storage, { writable: true });
      await (world === "async"
        ? convert([source], target, { offload: true })
        : convertSync([source], target, { offload: true }));
      const found = new Uint8Array(bytes.length);
      storage.readSync(IoVector.single(found), 0);
      expect(Buffer.compare(found, bytes)).toBe(0);
      await target.close();
      await source.close();
    }
  });

  it("asks once only where the host can't, and goes on where it copies a part", async () => {
    const bytes = makeDisk(4 * MiB);
    for (const most of [0, 100_000]) {
      let asked = 0;
      const from = new MemoryStorage(bytes.slice());
      const storage = Object.assign(new MemoryStorage(new Uint8Array(bytes.length)), {
        copyFrom(source: MemoryStorage, offset: number, to: number, length: number): number {
          asked++;
          const part = new Uint8Array(Math.min(most, length));
          source.readSync(IoVector.single(part), offset);
          storage.writeSync(IoVector.single(part), to);
          return part.length;
        },
      });
      const source = await raw.open(from);
      const target = await raw.open(storage, { writable: true });
      await convert([source], target, { offload: true, parallel: 1 });
      const found = new Uint8Array(bytes.length);
      storage.readSync(IoVector.single(found), 0);
      expect(Buffer.compare(found, bytes)).toBe(0);
      expect(asked).toBe(1);
      await target.close();
    }
  });
});
