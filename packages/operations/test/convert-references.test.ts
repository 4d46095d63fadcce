import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { convertImages, type ConvertTarget } from "../src/node.ts";

let directory: string;

function at(name: string): string {
  return join(directory, name);
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8", cwd: directory });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-references-"));
  run("qemu-img", "create", "-q", "-f", "raw", "base.raw", "1M");
  run("qemu-io", "-f", "raw", "-c", "write -P 1 0 600k", "base.raw");
  run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "middle.qcow2");
  run("qemu-io", "-c", "write -P 2 100k 64k", "middle.qcow2");
  run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "top.qcow2", "2M");
  run("qemu-io", "-c", "write -P 3 300k 64k", "-c", "write -z 512k 64k", "-c", "write -P 4 1500k 1k", "top.qcow2");
  const broken = readFileSync(at("middle.qcow2"));
  broken.writeBigUInt64BE(0x8000000000000001n, Number(broken.readBigUInt64BE(40)));
  writeFileSync(at("broken.qcow2"), broken);
});
beforeEach(() => {
  rmSync(at("out"), { recursive: true, force: true });
  mkdirSync(at("out"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function target(more: Partial<ConvertTarget> = {}): ConvertTarget {
  return { path: at("out/target"), format: "qcow2", gate: "allow-all", ...more };
}

function source(name: string): { readonly path: string; readonly gate: "allow-all" } {
  return { path: at(name), gate: "allow-all" };
}

function expectSame(name: string): void {
  run("qemu-img", "compare", name, "out/target");
  run("qemu-img", "check", "-q", "out/target");
}

describe("convertImages onto a backing image", () => {
  it("writes what isn't there already, found relative to the target", async () => {
    const made = target({ backingFile: { name: "../middle.qcow2", format: "qcow2" } });
    const { written } = await convertImages({ sources: [source("top.qcow2")], target: made });
    // 300k to 364k touch two clusters; at 1500k, zeroes follow
    expect(written).toBe(2 * 65536 + 4096);
    expectSame("top.qcow2");
    expect(run("qemu-img", "info", "out/target")).toContain("backing file: ../middle.qcow2");
  });

  it("doesn't take compressed data of a snapshot for that of the image", async () => {
    run("qemu-img", "convert", "-c", "-O", "qcow2", "middle.qcow2", "out/packed");
    run("qemu-img", "snapshot", "-c", "before", "out/packed");
    run("qemu-io", "-d", "unmap", "-c", "discard 0 64k", "-c", "write -c -P 9 0 64k", "out/packed");
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "packed", "-F", "qcow2", "out/on-packed");
    const packed = { path: at("out/packed"), format: "qcow2" };
    const made = target({ backingFile: { name: "packed", format: "qcow2" } });
    const jobs = [
      { source: { ...packed, snapshot: "before" }, written: 65536 },
      { source: { path: at("out/on-packed"), backing: { ...packed, snapshot: "before" } }, written: 65536 },
      { source: { path: at("out/on-packed"), backing: packed }, written: 0 },
      { source: source("out/on-packed"), written: 0 },
    ];
    for (const { source: from, written } of jobs) {
      expect(await convertImages({ sources: [from], target: made })).toMatchObject({ written });
      await convertImages({ sources: [from], target: { path: at("out/expected"), format: "raw" } });
      run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", "out/expected", "out/target");
    }
  });

  it("takes any image below, and several sources", async () => {
    const made = target({ backingFile: { name: at("base.raw"), format: "raw" } });
    await convertImages({ sources: [source("top.qcow2"), source("middle.qcow2")], target: made, compressed: true });
    run(
      "sh",
      "-c",
      "qemu-img convert -O raw top.qcow2 out/a && qemu-img convert -O raw middle.qcow2 out/b && cat out/a out/b > out/ab",
    );
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", "out/ab", "out/target");
  });

  it("opens only what the gate allows", async () => {
    const made = target({ gate: "deny-all", backingFile: { name: "../middle.qcow2", format: "qcow2" } });
    const work = convertImages({ sources: [source("top.qcow2")], target: made });
    await expect(work).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    expect(readdirSync(at("out"))).toEqual([]);
  });

  it.each([
    [{ backingFile: { name: "target", format: "qcow2" } }, "ERR_IMG_DENIED"],
    [{ backingFile: { name: "../gone", format: "qcow2" } }, "ENOENT"],
    [{ backingFile: { name: "../base.raw", format: "qcow2" } }, "ERR_IMG_UNKNOWN_FORMAT"],
    [{ backingFile: { name: "nbd:localhost", format: "raw" } }, "ERR_IMG_UNSUPPORTED"],
  ])("refuses %j, and creates nothing", async (more, code) => {
    const work = convertImages({ sources: [source("top.qcow2")], target: target(more) });
    await expect(work).rejects.toMatchObject({ code });
    expect(readdirSync(at("out"))).toEqual([]);
  });

  it("can't give a raw image another one below", async () => {
    const made = target({ format: "raw", backingFile: { name: "../base.raw", format: "raw" } });
    await expect(convertImages({ sources: [source("top.qcow2")], target: made })).rejects.toThrow();
    expect(readdirSync(at("out"))).toEqual([]);
  });

  it("leaves alone what an existing image shows already when told so", async () => {
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", at("middle.qcow2"), "-F", "qcow2", "out/target", "2M");
    const job = { sources: [source("top.qcow2")], target: target(), skipCreate: true, onlyDifferences: true };
    expect(await convertImages(job)).toMatchObject({ written: 2 * 65536 + 4096 });
    expectSame("top.qcow2");
    expect(await convertImages(job)).toMatchObject({ written: 0 });
  });
});

describe("convertImages with a data file", () => {
  it.each([true, false])("writes the data beside the image, sync: %s", async (sync) => {
    const made = target({ dataFile: at("out/data"), createOptions: { dataFileRaw: true } });
    await convertImages({ sources: [source("top.qcow2")], target: made, sync });
    expectSame("top.qcow2");
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", "out/data", "top.qcow2");
    expect(readdirSync(at("out")).sort()).toEqual(["data", "target"]);
  });

  it("replaces both files at the end, and keeps both when it fails or is aborted", async () => {
    writeFileSync(at("out/target"), "image");
    writeFileSync(at("out/data"), "bytes");
    const made = target({ dataFile: at("out/data") });
    const failing = convertImages({ sources: [source("top.qcow2"), source("broken.qcow2")], target: made });
    await expect(failing).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
    const reason = new Error("enough");
    const controller = new AbortController();
    const aborted = convertImages({
      sources: [source("top.qcow2")],
      target: made,
      // more than one piece, so that there is something to tell before the end
      chunkSize: 65_536,
      rate: 1,
      signal: controller.signal,
      onProgress: () => {
        controller.abort(reason);
      },
    });
    await expect(aborted).rejects.toBe(reason);
    expect(readdirSync(at("out")).sort()).toEqual(["data", "target"]);
    expect(readFileSync(at("out/target"), "utf8")).toBe("image");
    expect(readFileSync(at("out/data"), "utf8")).toBe("bytes");
    await convertImages({ sources: [source("top.qcow2")], target: made });
    expectSame("top.qcow2");
  });

  it.each(["base.raw", "middle.qcow2", "out/target"])("refuses to write over %s", async (name) => {
    const before = name === "out/target" ? undefined : readFileSync(at(name));
    const work = convertImages({ sources: [source("top.qcow2")], target: target({ dataFile: at(name) }) });
    await expect(work).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    expect(readdirSync(at("out"))).toEqual([]);
    if (before !== undefined) expect(readFileSync(at(name)).equals(before)).toBe(true);
  });

  it("refuses a relative name that means another file to QEMU", async () => {
    const work = convertImages({ sources: [source("top.qcow2")], target: target({ dataFile: "data" }) });
    await expect(work).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(readdirSync(at("out"))).toEqual([]);
  });
});

describe("convertImages of what can't be read", () => {
  it("tells of it and goes on, in one thread", async () => {
    const lost: number[] = [];
    const made = target({ format: "raw" });
    const { threads } = await convertImages({
      sources: [source("broken.qcow2")],
      target: made,
      onUnreadable: ({ what, length }) => {
        if (what === "data") lost.push(length);
      },
    });
    expect(threads).toBe(1);
    expect(lost.reduce((sum, length) => sum + length, 0)).toBe(1024 * 1024);
    expect(readFileSync(at("out/target")).equals(Buffer.alloc(1024 * 1024))).toBe(true);
  });
});
