import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, tool } from "./support/run-tool.ts";

let directory: string;

/** Changes one big-endian 64-bit integer of a file. */
function poke(name: string, offset: number, change: (value: bigint) => bigint): void {
  const file = openSync(join(directory, name), "r+");
  const bytes = Buffer.alloc(8);
  readSync(file, bytes, 0, 8, offset);
  bytes.writeBigUInt64BE(change(bytes.readBigUInt64BE()));
  writeSync(file, bytes, 0, 8, offset);
  closeSync(file);
}

beforeAll(() => {
  directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-check-"));
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "empty.qcow2", "10M"], directory);
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "good.qcow2", "10M"], directory);
  const writes = ["write 0 256k", "write 1M 64k", "write -c 2M 64k", "write 640k 128k"].flatMap((each) => ["-c", each]);
  tool("qemu-io", [...writes, "good.qcow2"], directory);
  tool(
    "qemu-img",
    ["create", "-q", "-f", "qcow2", "-b", "gone.qcow2", "-F", "qcow2", "-u", "overlay.qcow2", "1M"],
    directory,
  );
  tool("qemu-img", ["create", "-q", "-f", "raw", "a.raw", "1M"], directory);
  tool(
    "qemu-img",
    ["create", "-q", "-f", "qcow2", "-o", `data_file=${join(directory, "d.raw")}`, "data.qcow2", "1M"],
    directory,
  );
  const copy = (name: string): void => {
    copyFileSync(join(directory, "good.qcow2"), join(directory, name));
  };
  copy("leaking.qcow2");
  poke("leaking.qcow2", 0x40000, () => 0n);
  poke("leaking.qcow2", 0x40008, () => 0n);
  copy("corrupt.qcow2");
  poke("corrupt.qcow2", 0x20000 + 8, () => 0n);
  copy("both.qcow2");
  poke("both.qcow2", 0x40000, () => 0n);
  poke("both.qcow2", 0x40008, (entry) => entry - 0x10000n);
  copy("zero.qcow2");
  poke("zero.qcow2", 0x40000, (entry) => entry + 513n);
  copy("flag.qcow2");
  poke("flag.qcow2", 0x40000, (entry) => entry & ~(1n << 63n));
  copy("shared.qcow2");
  poke("shared.qcow2", 0x40008, (entry) => entry - 0x10000n);
  copy("dirty.qcow2");
  poke("dirty.qcow2", 72, () => 3n);
  copy("norefs.qcow2");
  poke("norefs.qcow2", 0x10000, () => 0n);
  copy("unaligned.qcow2");
  poke("unaligned.qcow2", 0x10000, (entry) => entry + 512n);
  copy("snapshots.qcow2");
  poke("snapshots.qcow2", 60, () => 0x0001_2345_0000_0000n);
  copy("unknown.qcow2");
  poke("unknown.qcow2", 72, () => 1n << 50n);
  writeFileSync(join(directory, "short.qcow2"), "QFI");
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** What has to give the same output and the same exit code. */
const cases: readonly (readonly string[])[] = [
  ...["empty.qcow2", "good.qcow2", "leaking.qcow2", "corrupt.qcow2", "both.qcow2", "data.qcow2"].flatMap((name) => [
    [name],
    ["--output=json", name],
    ["-q", name],
  ]),
  ["-f", "qcow2", "./good.qcow2", "--output", "json"],
  ["-U", "-T", "none", "good.qcow2"],
  ["--image-opts", "driver=qcow2,file.filename=good.qcow2", "--output=json"],
  ["unaligned.qcow2"],
  ["--output=json", "unaligned.qcow2"],
  ["a.raw"],
  ["--output=json", "a.raw"],
  ["-f", "raw", "good.qcow2"],
  ["-f", "qcow2", "a.raw"],
  ["-f", "nope", "good.qcow2"],
  ["short.qcow2"],
  ["nofile"],
  ["--output=xml", "good.qcow2"],
  ["-T", "nope", "good.qcow2"],
  ["-r", "nope", "good.qcow2"],
  ["good.qcow2", "empty.qcow2"],
  [],
];

describe("img check", () => {
  it.each(cases.map((args) => [args.join(" "), args] as const))("is like qemu-img check: %s", (_, args) => {
    const expected = qemuImg(["check", ...args], directory);
    const found = img(["check", ...args], directory);
    expect({ code: found.code, stdout: found.stdout }).toEqual({ code: expected.code, stdout: expected.stdout });
    if (expected.code !== null && ![2, 3].includes(expected.code) && !expected.stderr.includes("qcow2: ")) {
      expect(found.stderr).toBe(expected.stderr.replaceAll("qemu-img", "img"));
    }
  });

  it("words leaks and missing refcounts as scripts expect them", () => {
    expect(img(["check", "leaking.qcow2"], directory).stderr).toBe(
      qemuImg(["check", "leaking.qcow2"], directory).stderr,
    );
    expect(img(["check", "corrupt.qcow2"], directory).stderr).toContain("ERROR cluster 4 refcount=0 reference=1\n");
  });

  it("needs no backing image", () => {
    expect(img(["check", "overlay.qcow2"], directory)).toMatchObject({ code: 0, stderr: "" });
  });

  it.each([
    ["snapshots.qcow2", "Check failed"],
    ["unknown.qcow2", "ERR_IMG_UNSUPPORTED"],
  ])("fails where it can't find out: %s", (name, message) => {
    expect(qemuImg(["check", name], directory).code).toBe(1);
    const { code, stderr } = img(["check", name], directory);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it("looks at the chain and at what is compressed with --deep", () => {
    expect(img(["check", "--deep", "good.qcow2"], directory)).toEqual(img(["check", "good.qcow2"], directory));
    const gone = img(["check", "--deep", "overlay.qcow2"], directory);
    expect(gone).toMatchObject({ code: 2 });
    expect(gone.stderr).toContain("gone.qcow2");
    expect(gone.stdout).toContain("1 errors were found on the image.");
    const name = "garbled.qcow2";
    copyFileSync(join(directory, "good.qcow2"), join(directory, name));
    poke(name, 0x40000 + 8 * 32, (entry) => entry + 7n);
    expect(img(["check", name], directory).code).toBe(0);
    const found = img(["check", "--deep", "--output=json", name], directory);
    expect(found.code).toBe(2);
    expect(found.stderr).toContain("compressed cluster at host offset");
    expect(JSON.parse(found.stdout)).toMatchObject({ corruptions: 1 });
    expect(img(["check", "--deep", "-r", "all", name], directory).code).toBe(1);
  });

  it("needs -r for --dry-run", () => {
    expect(img(["check", "--dry-run", "good.qcow2"], directory)).toMatchObject({ code: 1, stdout: "" });
  });
});

describe("img check -r", () => {
  const broken = ["empty", "good", "leaking", "corrupt", "both", "data", "zero", "flag", "shared", "dirty", "norefs"];
  const repairs = broken.flatMap((name) =>
    ["leaks", "all"].flatMap((mode) => [[name, mode, "human"] as const, [name, mode, "json"] as const]),
  );

  it.each(repairs)("is like qemu-img check -r: %s, %s, %s", (name, mode, output) => {
    const args = ["check", "-r", mode, `--output=${output}`, "image.qcow2"];
    const [ours, theirs] = [join(directory, "ours"), join(directory, "theirs")];
    for (const place of [ours, theirs]) {
      mkdirSync(place, { recursive: true });
      copyFileSync(join(directory, `${name}.qcow2`), join(place, "image.qcow2"));
    }
    const expected = qemuImg(args, theirs);
    const found = img(args, ours);
    expect({ code: found.code, stdout: withoutEnd(found.stdout) }).toEqual({
      code: expected.code,
      stdout: withoutEnd(expected.stdout),
    });
    for (const line of expected.stderr.split("\n").filter((each) => /^(Repairing cluster|Rebuilding)/.test(each))) {
      // new structures in the old place leave nothing behind
      if (!rebuilt.has(name)) {
        expect(found.stderr).toContain(`${line}\n`);
      }
    }
    expect(qemuImg(["check", "image.qcow2"], ours).code).toBe(qemuImg(["check", "image.qcow2"], theirs).code);
    if (expected.code === 0) {
      expect(qemuImg(["compare", "image.qcow2", "../theirs/image.qcow2"], ours).code).toBe(0);
    }
  });

  it("says why it keeps leaks where a table is lost", () => {
    copyFileSync(join(directory, "good.qcow2"), join(directory, "lost.qcow2"));
    poke("lost.qcow2", 0x30000, (entry) => entry | (1n << 40n));
    const { code, stderr } = img(["check", "-r", "leaks", "lost.qcow2"], directory);
    expect(code).toBe(2);
    expect(stderr).toContain("Leaked clusters are kept: not everything could be read that may refer to them\n");
  });

  it("shows what it would do, and does nothing", () => {
    const before = readFileSync(join(directory, "shared.qcow2"));
    const { code, stdout } = img(["check", "-r", "all", "--dry-run", "shared.qcow2"], directory);
    expect(code).toBe(2);
    expect(stdout).toContain(`
A repair would:
  set the refcount of 1 clusters from host offset 0x50000 on from 1 to 2
`);
    expect(stdout).toContain("Afterwards, 0 errors and 0 leaked clusters would be left.\n");
    const json = img(["check", "-r", "all", "--dry-run", "--output=json", "shared.qcow2"], directory);
    expect(JSON.parse(json.stdout)).toMatchObject({ corruptions: 1, plan: { corruptions: 0, leaks: 0 } });
    expect(img(["check", "-r", "all", "--dry-run", "good.qcow2"], directory).stdout).toContain("Nothing would be");
    expect(readFileSync(join(directory, "shared.qcow2")).equals(before)).toBe(true);
  });

  it("says what is left, and that another has the image", () => {
    copyFileSync(join(directory, "unaligned.qcow2"), join(directory, "left.qcow2"));
    const { code, stdout } = img(["check", "-r", "all", "left.qcow2"], directory);
    expect(code).toBe(0);
    expect(stdout).toContain("Double checking the fixed image now...\nNo errors were found on the image.\n");
    expect(img(["check", "-r", "all", "-U", "left.qcow2"], directory)).toMatchObject({ code: 1, stdout: "" });
    expect(img(["check", "-r", "all", "a.raw"], directory).code).toBe(63);
  });
});

/** Where new refcounts end up isn't the same: ours are put right in place where they can be. */
function withoutEnd(text: string): string {
  return text.replace(/image-end-offset": \d+|Image end offset: \d+/g, "");
}

const rebuilt = new Set(["norefs", "corrupt"]);
