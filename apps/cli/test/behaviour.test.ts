import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, type ToolResult } from "./support/run-tool.ts";
import { SampleImages } from "./support/sample-images.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
let images: SampleImages;

beforeAll(() => {
  images = new SampleImages();
});
afterAll(() => {
  images.remove();
});

function run(...args: readonly string[]): ToolResult {
  return img(args, images.directory);
}

describe("help", () => {
  it("lists every verb, its options, and where to find more", () => {
    const { code, stdout, stderr } = run("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const name of ["compare", "convert", "dump", "info", "map", "measure"]) {
      expect(stdout).toMatch(new RegExp(`^  ${name} .*filename`, "m"));
    }
    expect(run("-h").stdout).toBe(stdout);
    expect(run("help").stdout).toBe(stdout);
  });

  it("explains one verb", () => {
    const { code, stdout } = run("help", "compare");
    expect(code).toBe(0);
    expect(stdout).toContain("-U, --force-share");
    expect(stdout).toMatch(/^ {2}4 {3}the contents of an image can't be read$/m);
    expect(run("compare", "--help").stdout).toBe(stdout);
    expect(run("compare", "a", "-h", "b").stdout).toBe(stdout);
  });

  it("tells its version", () => {
    const { code, stdout } = run("--version");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^img version \d+\.\d+\.\d+/);
    expect(run("-V").stdout).toBe(run("--version").stdout);
  });

  it("shows what images can be created with", () => {
    expect(run("convert", "-o", "help").stdout).not.toContain("preallocation=<str>");
    expect(run("convert", "-o", "help", "a.raw", "b.raw").stdout).toContain("preallocation=<str>");
    expect(run("convert", "-O", "qcow2", "-o", "?").stdout).toContain("cluster_size=<size>");
  });
});

describe("what images name", () => {
  it("is opened like qemu-img does, and not with --isolated", () => {
    expect(run("map", "ov.qcow2").code).toBe(0);
    for (const verb of ["map", "measure"]) {
      const { code, stderr } = run(verb, "--isolated", "ov.qcow2");
      expect(code).toBe(1);
      expect(stderr).toContain("[ERR_IMG_DENIED]");
    }
    expect(run("compare", "--isolated", "ov.qcow2", "a.raw").code).toBe(2);
    expect(run("map", "--isolated", "data.qcow2").stderr).toContain("[ERR_IMG_DENIED]");
    expect(run("info", "--isolated", "--backing-chain", "ov.qcow2").stderr).toContain("[ERR_IMG_DENIED]");
  });

  it("isn't opened by info", () => {
    const names = run("info", "--isolated", "ov.qcow2");
    expect(names.code).toBe(0);
    expect(names.stdout).toContain("backing file: base.raw");
    expect(run("info", "--isolated", "data.qcow2").stdout).toContain("data file: data.raw");
  });

  it("is never taken for a protocol", () => {
    const { code, stderr } = run("map", "nbd.qcow2");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^img: Could not open 'nbd\.qcow2': /);
  });

  it("may not be itself", () => {
    const { code, stderr } = run("map", "loop.qcow2");
    expect(code).toBe(1);
    expect(stderr).toContain("[ERR_IMG_CORRUPT]");
  });
});

describe("encrypted images", () => {
  it.each(["luks.qcow2", "aes.qcow2"])("are described, but not read: %s", (name) => {
    expect(run("info", name).stdout).toContain("encrypted: yes");
    for (const args of [["map"], ["measure", "-O", "qcow2"], ["convert"]]) {
      const { code, stderr } = run(...args, name, ...(args[0] === "convert" ? ["out.raw"] : []));
      expect(code).toBe(1);
      expect(stderr).toMatch(/encrypted .*\[ERR_IMG_UNSUPPORTED\]/);
    }
  });
});

describe("messages", () => {
  it("escape control characters in names", () => {
    const { stderr } = run("info", "no\u001b[2Jfile");
    expect(stderr).not.toContain("\u001b");
    expect(stderr).toContain("no\\x1b[2Jfile");
  });

  it("are one line and a hint, never a stack", () => {
    writeFileSync(join(images.directory, "garbage.qcow2"), Buffer.from("514649fb00000003", "hex"));
    for (const args of [
      ["info", "garbage.qcow2"],
      ["info", "."],
      ["map", "garbage.qcow2"],
    ]) {
      const { code, stderr } = run(...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^img: Could not open .* \[ERR_IMG_\w+\]\n$/);
    }
  });

  it("have no colour unless there is a terminal", () => {
    for (const env of [{}, { NO_COLOR: "1" }, { FORCE_COLOR: "1" }]) {
      const { stderr, stdout } = img(["info", "nofile"], images.directory, env);
      expect(stdout + stderr).not.toContain("\u001b");
    }
  });

  it("call the program what it was called as", () => {
    images.tool("ln", ["-sf", program, "qemu-img"]);
    const { stderr } = spawnSync(process.execPath, [join(images.directory, "qemu-img"), "info"], { encoding: "utf8" });
    expect(stderr).toBe("qemu-img: Expecting one image file name\nTry 'qemu-img --help' for more information\n");
  });
});

describe("interrupted", () => {
  beforeAll(() => {
    images.create("large.raw", "512M", [], "raw");
    images.tool("qemu-io", ["-f", "raw", "-c", "write -P 1 0 512M", "large.raw"]);
    images.tool("qemu-img", ["convert", "-c", "-O", "qcow2", "large.raw", "large.qcow2"]);
  });

  /** The program's exit code when a signal is sent to it as soon as its target is there. */
  async function convertAndInterrupt(signal: NodeJS.Signals): Promise<number | null> {
    const child = spawn(process.execPath, [program, "convert", "large.qcow2", "target.raw"], {
      cwd: images.directory,
      stdio: "ignore",
    });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    while (!existsSync(join(images.directory, "target.raw"))) {
      await sleep(1);
    }
    child.kill(signal);
    return await ended;
  }

  it.each(["SIGINT", "SIGTERM"] as const)("by %s it removes what it was writing", async (signal) => {
    // a busy machine may let it end before the signal arrives
    let code = await convertAndInterrupt(signal);
    for (let tries = 1; code === 0 && tries < 10; tries++) {
      rmSync(join(images.directory, "target.raw"));
      code = await convertAndInterrupt(signal);
    }
    expect(code).toBe(128 + constants.signals[signal]);
    expect(readdirSync(images.directory).filter((name) => name.includes("target"))).toEqual([]);
  });

  it("ends quietly when nobody reads its output", () => {
    const writes = Array.from({ length: 600 }, (_, at) => `write -P 1 ${String(at * 8192)} 512`);
    images.create("many.qcow2", "16M", ["-o", "cluster_size=512"]);
    images.io("many.qcow2", ...writes);
    const script = `"$0" "$1" map --output=json many.qcow2 | head -c 100`;
    const { stderr } = spawnSync("sh", ["-c", script, process.execPath, program], {
      cwd: images.directory,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
  });
});

describe("img dump", () => {
  it("shows the header's fields, and what they mean", () => {
    const { code, stdout } = run("dump", "subclusters.qcow2");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}0x14 +cluster_bits +0xe +clusters of 16384 bytes$/m);
    expect(stdout).toMatch(/^ {2}0x48 +incompatible_features +0x10 +extended L2$/m);
    expect(run("dump", "v2.qcow2").stdout).not.toContain("header_length");
  });

  it("shows extensions, and the backing file's name", () => {
    const { entries } = JSON.parse(run("dump", "ov.qcow2", "--extensions", "--output=json").stdout) as {
      entries: { name: string; contents: string }[];
    };
    expect(entries.map(({ name }) => name)).toEqual(["backing file format", "feature name table"]);
    expect(entries[0]?.contents).toBe("raw");
    expect(run("dump", "--header", "ov.qcow2").stdout).toMatch(/backing file name +- +base\.raw/);
  });

  it("shows tables down to the clusters, also of snapshots", () => {
    const l1 = JSON.parse(run("dump", "a.qcow2", "--l1", "--output=json").stdout) as {
      entries: { l2_table: number }[];
    };
    expect(l1.entries.map((entry) => entry.l2_table)).toEqual([0x40000]);
    const l2 = JSON.parse(run("dump", "a.qcow2", "--l2", "0", "--output=json").stdout) as {
      entries: { guest: number; kind: string }[];
    };
    expect(l2.entries.map(({ guest, kind }) => [guest, kind])).toEqual([
      [0, "data"],
      [65536, "data"],
      [262144, "data"],
      [524288, "zero"],
      [655360, "compressed"],
    ]);
    const ofSnapshot = run("dump", "--l1", "-l", "one", "snapshots.qcow2").stdout;
    expect(ofSnapshot).toMatch(/^L1 table at 0x/);
    expect(ofSnapshot).not.toBe(run("dump", "--l1", "snapshots.qcow2").stdout);
  });

  it("shows refcounts", () => {
    expect(run("dump", "a.qcow2", "--refcount-table").stdout).toMatch(/^ {2}0 +0x0 +0x20000 +0x20000$/m);
    const { entries } = JSON.parse(run("dump", "a.qcow2", "--refcount-block=0", "--output=json").stdout) as {
      entries: { cluster: number; count: number; refcount: number }[];
    };
    expect(entries).toEqual([{ cluster: 0, count: 9, host: 0, refcount: 1 }]);
  });

  it("remarks on what is wrong, where nothing else opens the image", () => {
    images.tool("cp", ["a.qcow2", "bad.qcow2"]);
    images.tool("qemu-io", ["-f", "raw", "-c", "write -P 0xff 196608 8", "bad.qcow2"]);
    expect(run("convert", "bad.qcow2", "bad.out").stderr).toContain("[ERR_IMG_CORRUPT]");
    expect(run("dump", "--l1", "bad.qcow2").stdout).toContain("reserved bits 0x7f000000000001ff");
  });

  it.each([
    [["--l2", "7", "a.qcow2"], "L1 entry 7: expected a number from 0 to 0"],
    [["--l2", "x", "a.qcow2"], "L1 entry x: expected a number from 0 to 0"],
    [["--refcount-block", "3", "a.qcow2"], "there is no refcount block 3"],
    [["--l1", "--header", "a.qcow2"], "--header and --l1: expected one of them"],
    [["a.raw"], "Could not open 'a.raw': Image is not in qcow2 format"],
    [["nofile"], "Could not open 'nofile': Could not open 'nofile': No such file or directory"],
    [["--l1", "-l", "nope", "snapshots.qcow2"], "Can't find snapshot"],
  ])("refuses %j", (args, message) => {
    const { code, stderr } = run("dump", ...args);
    expect(code).toBe(1);
    expect(stderr.split("\n")[0]).toBe(`img: ${message}`);
  });
});
