import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, type ToolResult } from "./support/run-tool.ts";
import { SampleImages } from "./support/sample-images.ts";

let images: SampleImages;

beforeAll(() => {
  images = new SampleImages();
});
afterAll(() => {
  images.remove();
});

function sha256(name: string): string {
  return createHash("sha256")
    .update(readFileSync(join(images.directory, name)))
    .digest("hex");
}

function run(...args: readonly string[]): ToolResult {
  return img(args, images.directory);
}

/** Everything that a conversion may leave lying about. */
function leftovers(): string[] {
  return readdirSync(images.directory).filter((name) => name.includes("target") || name.endsWith(".part"));
}

describe("img convert", () => {
  it.each([
    [["a.qcow2"]],
    [["plain.qcow2"]],
    [["v2.qcow2"]],
    [["subclusters.qcow2"]],
    [["preallocated.qcow2"]],
    [["ov.qcow2"]],
    [["sub/ov.qcow2"]],
    [["on-short.qcow2"]],
    [["data.qcow2"]],
    [["odd.raw"]],
    [["empty.raw"]],
    [["zeroes.raw"]],
    [["-S", "0", "a.qcow2"]],
    [["-S", "512", "a.qcow2"]],
    [["-W", "-m", "1", "plain.qcow2"]],
    [["-C", "plain.qcow2"]],
    [["-T", "none", "-t", "none", "plain.qcow2"]],
    [["-o", "preallocation=full", "a.qcow2"]],
    [["-o", "preallocation=falloc", "a.qcow2"]],
    [["-l", "one", "snapshots.qcow2"]],
    [["-l", "snapshot.id=2", "snapshots.qcow2"]],
    [["a.qcow2", "base.raw", "odd.raw"]],
    [["--image-opts", "driver=qcow2,file.filename=a.qcow2"]],
    [['json:{"driver":"raw","offset":512,"size":1024,"file":{"driver":"file","filename":"a.raw"}}']],
  ])("%j gives the bytes that qemu-img gives", (args) => {
    expect(qemuImg(["convert", ...args, "theirs.out"], images.directory)).toMatchObject({ code: 0 });
    expect(run("convert", ...args, "ours.out")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(sha256("ours.out")).toBe(sha256("theirs.out"));
  });

  it.each([
    [[], "a.qcow2"],
    [["-o", "cluster_size=4k,compat=0.10"], "plain.qcow2"],
    [["-o", "extended_l2=on,refcount_bits=8"], "subclusters.qcow2"],
    [["-o", "lazy_refcounts=on,compression_type=zstd"], "sub/ov.qcow2"],
    [["-o", "preallocation=metadata"], "odd.raw"],
    [["-S", "0"], "plain.qcow2"],
    [["-c"], "plain.qcow2"],
    [["-c", "-o", "compression_type=zstd"], "sub/ov.qcow2"],
    [["-c", "-o", "cluster_size=4k"], "big.raw"],
  ])("writes qcow2 that qemu-img finds sound and the same: %j %s", (options, source) => {
    const args = ["convert", "-O", "qcow2", ...options, source];
    expect(qemuImg([...args, "theirs.out"], images.directory)).toMatchObject({ code: 0 });
    expect(run(...args, "ours.out")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(qemuImg(["check", "-f", "qcow2", "ours.out"], images.directory)).toMatchObject({ code: 0 });
    expect(qemuImg(["compare", "ours.out", "theirs.out"], images.directory)).toMatchObject({ code: 0 });
    const described = (name: string): unknown => {
      const info = JSON.parse(qemuImg(["info", "--output=json", name], images.directory).stdout) as Record<
        string,
        unknown
      >;
      return [info["virtual-size"], info["cluster-size"], info["format-specific"]];
    };
    expect(described("ours.out")).toEqual(described("theirs.out"));
  });

  it("keeps holes, and allocates everything with -S 0", () => {
    const blocks = (name: string): number => statSync(join(images.directory, name)).blocks * 512;
    run("convert", "zeroes.raw", "sparse.out");
    expect(blocks("sparse.out")).toBeLessThanOrEqual(65536);
    run("convert", "-S", "0", "zeroes.raw", "full.out");
    // a file system counts its own blocks too when the file is in many pieces
    expect(blocks("full.out")).toBeGreaterThanOrEqual(2 * 1024 * 1024);
  });

  it("writes into what is there with -n, and leaves the rest alone", () => {
    const before = Buffer.alloc(3 * 1024 * 1024, 0xaa);
    writeFileSync(join(images.directory, "there.out"), before);
    expect(run("convert", "-n", "-O", "raw", "a.qcow2", "there.out")).toMatchObject({ code: 0 });
    const after = readFileSync(join(images.directory, "there.out"));
    expect(after.subarray(0, 1024 * 1024).equals(readFileSync(join(images.directory, "a.raw")))).toBe(true);
    expect(after.subarray(1024 * 1024).equals(before.subarray(1024 * 1024))).toBe(true);
  });

  it("prints qemu-img's progress with -p, and none without", () => {
    const { stdout } = run("convert", "-p", "plain.qcow2", "progress.out");
    expect(stdout).toMatch(/^( {4}\(\d+\.\d\d\/100%\)\r)+\n$/);
    expect(stdout.endsWith("    (100.00/100%)\r\n")).toBe(true);
    expect(run("convert", "-p", "-q", "plain.qcow2", "progress.out").stdout).toBe("");
  });

  it("never writes a source", () => {
    const before = sha256("a.raw");
    expect(run("convert", "a.raw", "a.raw").code).toBe(1);
    expect(run("convert", "-n", "a.raw", "./a.raw").code).toBe(1);
    expect(run("convert", "ov.qcow2", "base.raw").code).toBe(1);
    expect(sha256("a.raw")).toBe(before);
  });

  it("leaves nothing behind when it fails", () => {
    writeFileSync(
      join(images.directory, "short.broken"),
      readFileSync(join(images.directory, "a.qcow2")).fill(0xff, 0x40000),
    );
    for (const args of [
      ["short.broken", "target"],
      ["luks.qcow2", "target"],
      ["broken.qcow2", "target"],
      ["--isolated", "ov.qcow2", "target"],
      ["-l", "nope", "snapshots.qcow2", "target"],
    ]) {
      expect(run("convert", ...args).code).toBe(1);
      expect(leftovers()).toEqual([]);
    }
  });

  it("keeps what was there when it fails", () => {
    writeFileSync(join(images.directory, "kept.out"), "precious");
    expect(run("convert", "short.broken", "kept.out").code).toBe(1);
    expect(readFileSync(join(images.directory, "kept.out"), "utf8")).toBe("precious");
    expect(existsSync(join(images.directory, "kept.out"))).toBe(true);
  });

  it("refuses by name what isn't there yet", () => {
    for (const args of [
      ["--object", "secret,id=a,data=b", "luks.qcow2", "target"],
      ["-O", "qcow2", "-o", "encrypt.format=luks", "a.qcow2", "target"],
      ["ssh://host/disk", "target"],
      ["a.qcow2", "https://host/target"],
      ['json:{"driver":"vmdk","file.filename":"a.qcow2"}', "target"],
    ]) {
      const { code, stderr } = run("convert", ...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/\[ERR_IMG_UNSUPPORTED\]/);
      expect(leftovers()).toEqual([]);
    }
  });
});
