import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { info, qemuInfo } from "@img/operations";
import { qcow2 } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";
import { qemuInfo as toolsInfo } from "../src/qemu-img.ts";
import { fieldsOf, type Field } from "../src/qcow2-fields.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

describe("what is told about unusual images is what the tool tells", () => {
  let directory: TemporaryDirectory;
  let path = "";

  beforeAll(() => {
    directory = new TemporaryDirectory();
    path = directory.file("image.qcow2");
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  async function expectSame(name = path): Promise<Record<string, unknown>> {
    const theirs = toolsInfo(name, "qcow2");
    await using image = await qcow2.open(await FileStorage.open(path), { inspect: true });
    const ours = qemuInfo(await info(image, { filename: name }));
    // the same text: the same values and the same order
    expect(JSON.stringify(ours, null, 4)).toBe(JSON.stringify(theirs, null, 4));
    return theirs;
  }

  function create(options: string, ...more: readonly string[]): void {
    runTool("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-o", options, ...more, path, "3M"]);
  }

  /** Sets a field of the image file. */
  function set(field: (each: Field) => boolean, value: bigint): void {
    const bytes = readFileSync(path);
    const { offset, length } = fieldsOf(bytes).find(field)!;
    const digits = value.toString(16).padStart(2 * length, "0");
    bytes.write(digits, offset, "hex");
    writeFileSync(path, bytes);
  }
  const header = (name: string) => (each: Field) => each.family === "header" && each.name === name;

  describe("headers", () => {
    beforeEach(() => {
      create("cluster_size=4k");
    });

    test.each<[string, string, bigint]>([
      ["the dirty bit", "incompatible_features", 1n],
      ["the corrupt bit", "incompatible_features", 2n],
      ["both", "incompatible_features", 3n],
      ["lazy refcounts", "compatible_features", 1n],
      ["unknown compatible bits", "compatible_features", 0xff00n],
      ["unknown autoclear bits", "autoclear_features", 0xff00n],
      ["the bit of bitmaps without any", "autoclear_features", 1n],
      ["a size that isn't in sectors", "size", 1_234_567n],
      ["a disk of no bytes", "size", 0n],
      ["refcounts of one bit", "refcount_order", 0n],
      ["refcounts of 64 bits", "refcount_order", 6n],
    ])("%s", async (_, name, value) => {
      set(header(name), value);
      await expectSame();
    });
  });

  test.each([
    "base.raw",
    "sub directory/base, one.raw",
    "./../base.raw",
    "/absolute/base.raw",
    "bäse-ü-日本.raw",
    "file:base.raw",
    "file:///absolute.raw",
    "nbd://example.com:10809/export",
    "nbd:unix:/run/socket:exportname=x",
    "http://example.com/base.qcow2?x=1",
    'json:{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}',
    'quote"and\\backslash.raw',
  ])("a backing image called %s", async (name) => {
    create("cluster_size=64k", "-b", name, "-F", "raw");
    expect(await expectSame()).toHaveProperty("backing-filename");
  });

  test.each(["image.qcow2", "./image.qcow2", "../x/image.qcow2"])(
    "the full name of a backing image when the image itself is called %s",
    async (name) => {
      create("cluster_size=64k", "-b", "below/base.raw", "-F", "raw");
      await using image = await qcow2.open(await FileStorage.open(path), { inspect: true });
      const told = qemuInfo(await info(image, { filename: name }));
      const expected = name.replace("image.qcow2", "below/base.raw");
      expect(told["full-backing-filename"]).toBe(expected);
    },
  );

  test.each(["off", "on"])("an external data file, raw %s, that isn't opened", async (raw) => {
    create(`data_file=${directory.file("data.raw")},data_file_raw=${raw}`);
    expect(await expectSame()).toHaveProperty("format-specific.data.data-file");
  });

  test("snapshots with state of a machine, dates and clocks", async () => {
    create("cluster_size=64k");
    for (const name of ["first", "second snapshot", "дритте"]) {
      runTool("qemu-img", ["snapshot", "-c", name, path]);
    }
    set((each) => each.name === "VM state size of snapshot 1", 0xfedcba98n);
    set((each) => each.name === "VM clock of snapshot 1", 12_345_678_901_234n);
    set((each) => each.name === "date of snapshot 2", 0xfffffffen);
    // the 64-bit size of the state, which replaces the other one
    set((each) => each.name === "extra data of snapshot 1", 5n * 2n ** 32n);
    expect(await expectSame()).toHaveProperty("snapshots.2");
  });

  test("snapshots of version 2", async () => {
    create("compat=0.10");
    runTool("qemu-img", ["snapshot", "-c", "only", path]);
    set((each) => each.name === "VM state size of snapshot 0", 0x8000_0001n);
    await expectSame();
  });

  test("bitmaps: enabled, disabled, in use, of all granularities", async () => {
    create("cluster_size=64k");
    for (const [index, granularity] of ["512", "64k", "2G"].entries()) {
      const more = index === 1 ? ["--disable"] : [];
      runTool("qemu-img", [
        "bitmap",
        "-f",
        "qcow2",
        "--add",
        "-g",
        granularity,
        ...more,
        path,
        `bitmap ${granularity}`,
      ]);
    }
    await expectSame();
    set((each) => each.name === "flags of bitmap 0", 3n);
    set((each) => each.name === "flags of bitmap 1", 1n);
    await expectSame();
  });

  test("compression types, extended entries, lazy refcounts, clusters of every size", async () => {
    for (let bits = 9; bits <= 21; bits++) {
      const extended = bits >= 14 ? ",extended_l2=on" : "";
      const zstd = bits % 2 === 0 ? ",compression_type=zstd" : ",lazy_refcounts=on";
      create(`cluster_size=${String(2 ** bits)}${extended}${zstd}`);
      await expectSame();
    }
  });
});
