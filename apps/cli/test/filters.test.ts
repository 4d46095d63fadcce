import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { tool } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "img-filters-"));
const originals = join(root, "originals");
const ours = join(root, "ours");
const theirs = join(root, "theirs");

const states = `
[set-state]
event = "write_aio"
state = "1"
new_state = "2"
# a comment
[inject-error]
event = "read_aio"
state = "2"
errno = "5"
[set-state]
event = "write_aio"
state = "2"
new_state = "3"
`;

beforeAll(() => {
  tool("mkdir", ["originals"], root);
  symlinkSync(program, join(root, "qemu-io"));
  symlinkSync(program, join(root, "qemu-img"));
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", "1M"], originals);
  tool("qemu-io", ["-c", "write -P 1 0 100k", "-c", "write -P 2 640k 64k", "a.qcow2"], originals);
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "o.qcow2"], originals);
  tool("qemu-img", ["convert", "-O", "raw", "a.qcow2", "a.raw"], originals);
  writeFileSync(join(originals, "once.conf"), '[inject-error]\nevent = "write_aio"\nerrno = "28"\nonce = "on"\n');
  writeFileSync(join(originals, "states.conf"), states);
  writeFileSync(join(originals, "bad.conf"), '[inject-error]\nevent="write_aio"\n');
});

beforeEach(() => {
  for (const directory of [ours, theirs]) {
    rmSync(directory, { recursive: true, force: true });
    cpSync(originals, directory, { recursive: true });
  }
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], cwd: string): Answer {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  return {
    code: status,
    stdout: stdout.replaceAll(/; \d\d\.\d\d sec \(.*\)$/gm, "; TIME"),
    // closing tells of it here only
    stderr: stderr.replace(/^.*: cannot sync: .*: injected, sync\n/m, ""),
  };
}

function ourIo(...args: readonly string[]): Answer {
  return run(process.execPath, [join(root, "qemu-io"), ...args], ours);
}

function ourImg(...args: readonly string[]): Answer {
  return run(process.execPath, [join(root, "qemu-img"), ...args], ours);
}

function expectSame(...args: readonly string[]): void {
  expect(ourIo(...args)).toEqual(run("qemu-io", args, theirs));
}

function expectSameDisk(name: string): void {
  const format = name.endsWith(".raw") ? "raw" : "qcow2";
  const read = (directory: string): Buffer => {
    tool("qemu-img", ["convert", "-f", format, "-O", "raw", name, "copy"], directory);
    return readFileSync(join(directory, "copy"));
  };
  expect(read(ours).equals(read(theirs))).toBe(true);
  if (format === "qcow2") {
    tool("qemu-img", ["check", "-q", name], ours);
  }
}

function commands(...lines: readonly string[]): string[] {
  return lines.flatMap((line) => ["-c", line]);
}

/** A qcow2 image in a `blkdebug` node with these options. */
function debugged(...options: readonly string[]): string {
  return ["driver=qcow2", "file.driver=blkdebug", "file.image.filename=a.qcow2"]
    .concat(options.map((option) => `file.${option}`))
    .join(",");
}

const compressed = "driver=compress,file.driver=qcow2,file.file.filename=o.qcow2";
const copying = "driver=copy-on-read,file.driver=qcow2,file.file.filename=o.qcow2";
const everything = ["read 0 1k", "write 0 64k", "write 512k 1k", "read 0 1k", "write -z 64k 64k", "discard 0 64k"];

describe("blkdebug, next to qemu-io's", () => {
  it.each([
    ["rules from a file", ["write 0 64k", "write 0 64k", "info", "map"], "blkdebug:once.conf:a.qcow2"],
    ["no rules", everything, "blkdebug::a.qcow2"],
    ["no such file", ["info"], "blkdebug:nofile:a.qcow2"],
    ["no such image", ["info"], "blkdebug::nofile"],
    ["half a name", ["info"], "blkdebug:a.qcow2"],
  ] as const)("%s", (_what, lines, name) => {
    expectSame(...commands(...lines), name);
    expectSameDisk("a.qcow2");
  });

  it("is described", () => {
    const told = ({ stdout }: Answer): string => stdout.replace(/^disk size: .*\n/m, "");
    const args = ["info", "blkdebug::a.qcow2"];
    expect(told(ourImg(...args))).toBe(told(run("qemu-img", args, theirs)));
  });

  it("changes states, and fails in one of them", () => {
    const lines = ["read 0 1k", "write 0 64k", "read 0 1k", "read 0 1k"];
    const options = ["-f", "raw", ...commands(...lines), "blkdebug:states.conf:a.raw"];
    expectSame(...options);
    const again = ["-f", "raw", ...commands("write 0 1k", "write 0 1k", "read 0 1k"), "blkdebug:states.conf:a.raw"];
    expectSame(...again);
  });

  it.each([
    ["l2_load", everything],
    ["refblock_load", everything],
    ["read_aio", everything],
    ["write_aio", everything],
    ["l2_update", ["write 0 1k", "write 512k 1k"]],
    ["refblock_update_part", ["write 0 1k", "write 512k 1k"]],
    ["pwritev", ["read 0 1k", "write 0 64k", "write 0 64k"]],
  ] as const)("one error at %s", (event, lines) => {
    const once = ["inject-error.0.once=on", "inject-error.0.errno=5"];
    const name = debugged(`inject-error.0.event=${event}`, ...once);
    expectSame("--image-opts", ...commands(...lines), name);
    expectSameDisk("a.qcow2");
  });

  it("fails where it is made durable", () => {
    const name = debugged("inject-error.0.event=flush_to_disk", "inject-error.0.once=on");
    expectSame("-t", "writeback", "--image-opts", ...commands("write 0 1k", "flush", "flush", "read 0 1k"), name);
    expectSameDisk("a.qcow2");
  });

  it.each([
    ["a sector", ["inject-error.0.event=none", "inject-error.0.sector=4"]],
    ["an errno", ["inject-error.0.event=none", "inject-error.0.errno=28", "inject-error.0.iotype=write"]],
    ["no errno", ["inject-error.0.event=none", "inject-error.0.errno=0"]],
    ["kinds", ["inject-error.0.event=none", "inject-error.0.iotype=write-zeroes", "inject-error.0.once=on"]],
    ["at once", ["inject-error.0.event=none", "inject-error.0.iotype=read", "inject-error.0.immediately=on"]],
    ["what follows a write", ["inject-error.0.event=pwritev_done", "inject-error.0.once=on"]],
    ["what follows a zero", ["inject-error.0.event=pwritev_zero"]],
    ["several", ["inject-error.0.event=read_aio", "inject-error.1.event=write_aio", "inject-error.1.errno=28"]],
  ] as const)("errors of %s in a raw image", (_what, options) => {
    const name = ["driver=raw", "file.driver=blkdebug", "file.image.filename=a.raw"]
      .concat(options.map((option) => `file.${option}`))
      .join(",");
    expectSame(
      "--image-opts",
      ...commands("read 0 1k", "read 2k 1k", "write 0 1k", "write -z 64k 4k", "read 1k 4k"),
      name,
    );
    expectSameDisk("a.raw");
  });

  it.each([
    [["align=4096"]],
    [["align=4096", "max-transfer=8192"]],
    [["align=512", "opt-write-zero=4096", "max-write-zero=8192"]],
    [["align=1024", "opt-discard=65536", "max-discard=65536"]],
  ] as const)("limits %s", (limits) => {
    const lines = [
      "write -P 3 100 5000",
      "read -P 3 100 5000",
      "write -z 3000 10000",
      "discard 64k 128k",
      "write 1000k 20k",
    ];
    expectSame("--image-opts", ...commands(...lines, "read -P 205 1000k 20k"), debugged(...limits));
    expectSameDisk("a.qcow2");
    const name = [
      "driver=raw",
      "file.driver=blkdebug",
      "file.image.filename=a.raw",
      ...limits.map((each) => `file.${each}`),
    ];
    expectSame("--image-opts", ...commands(...lines.filter((line) => !line.startsWith("discard"))), name.join(","));
    expectSameDisk("a.raw");
  });

  it.each([
    ["foo=1"],
    ["align=3"],
    ["align=1k", "max-transfer=1000"],
    ["inject-error.0.event=foo"],
    ["inject-error.0.errno=5"],
    ["inject-error.0.event=none", "inject-error.0.iotype=foo"],
    ["inject-error.0.event=none", "inject-error.0.bar=foo"],
  ])("refuses %s %s", (...options) => {
    expectSame("--image-opts", "-c", "length", debugged(...options));
  });

  it("refuses events by name that don't happen here", () => {
    const { code, stderr } = ourIo("--image-opts", "-c", "length", debugged("inject-error.0.event=cluster_alloc"));
    expect(stderr).toBe(
      "qemu-io: can't open: blkdebug's event 'cluster_alloc' isn't supported [ERR_IMG_UNSUPPORTED]\n",
    );
    expect(code).toBe(1);
  });

  it("is put before an image's disk, and opened with a name and options", () => {
    const disk = "driver=blkdebug,align=4k,image.driver=qcow2";
    expectSame(
      ...commands(`open -o ${disk} blkdebug::a.qcow2`, "info", "map", "write -P 9 100 10", "read -P 9 100 10"),
    );
    expectSame(...commands("open -o driver=qcow2,file.align=4k blkdebug::a.qcow2", "write -P 9 70 10", "info"));
    expectSame("--image-opts", "-c", "info", "driver=blkdebug");
    expectSameDisk("a.qcow2");
  });

  it("stops requests and lets them go on", () => {
    expectSame(...commands("break write_aio A", "resume A", "remove_break A", "break foo A"), "a.qcow2");
    expectSame(
      ...commands(
        "break write_aio A",
        "aio_write -P 5 0 64k",
        "wait_break A",
        "read -P 1 0 64k",
        "resume A",
        "aio_flush",
      ),
      ...commands("read -P 5 0 64k", "resume A", "remove_break A", "break foo A", "break pwritev B", "remove_break B"),
      "blkdebug::a.qcow2",
    );
    expectSame(...commands("break write_aio", "resume", "remove_break", "wait_break", "help break"), "a.qcow2");
    expectSameDisk("a.qcow2");
  });
});

describe("other filters, next to qemu-io's", () => {
  it.each([
    ["null-co", ["write 0 64k", "read -P 0 0 1k", "map", "length"], "driver=null-co,size=1M,read-zeroes=on"],
    ["null-aio below raw", ["write 0 64k", "discard 0 1k", "length", "truncate 2M"], "driver=raw,file.driver=null-aio"],
    ["null-co with another option", ["length"], "driver=null-co,file.size=2"],
    ["null-co that is late", ["read -P 0 0 1k"], "driver=null-co,read-zeroes=on,latency-ns=1000000"],
    ["throttle without a group", ["length"], "driver=throttle,throttle-group=g,file.filename=a.raw"],
    ["compress over raw", ["length"], "driver=compress,file.driver=raw,file.file.filename=a.raw"],
    ["compress over a file", ["length"], "driver=compress,file.filename=a.raw"],
    ["compress", ["write -P 4 128k 64k", "write -P 3 1000 1k", "read -P 3 1000 1k", "map", "info"], compressed],
    ["copy-on-read", ["read -P 1 100 100", "read -P 0 512k 1k", "map", "info"], copying],
  ] as const)("%s", (_what, lines, name) => {
    expectSame("--image-opts", ...commands(...lines), name);
    expectSameDisk("o.qcow2");
  });

  it("null-co by its name", () => {
    expectSame("-c", "length", "-f", "null-co", "null-co://");
    expectSame("-c", "length", "null-aio://x");
  });

  it("compress compresses", () => {
    expectSame("--image-opts", ...commands("write -P 4 128k 200k"), compressed);
    const [first] = JSON.parse(tool("qemu-img", ["map", "--output=json", "-s", "192k", "o.qcow2"], ours)) as object[];
    expect(first).toMatchObject({ depth: 0, data: true });
    // compressed clusters have no offset
    expect(first).not.toHaveProperty("offset");
  });

  it("copy-on-read keeps what is read, and -C does", () => {
    const lines = commands("read -P 1 100 100", "read -P 0 512k 1k", "write -P 7 640k 1k", "aio_read 640k 64k", "map");
    expectSame("-C", ...lines, "o.qcow2");
    expectSameDisk("o.qcow2");
    const map = (directory: string): string => tool("qemu-img", ["map", "--output=json", "o.qcow2"], directory);
    const depths = (text: string): unknown =>
      (JSON.parse(text) as { start: number; depth: number }[]).map(({ start, depth }) => [start, depth]);
    expect(depths(map(ours))).toEqual(depths(map(theirs)));
    expectSame("-C", "-r", "-c", "length", "o.qcow2");
  });

  it("throttle", () => {
    const group = "throttle-group,id=g,x-bps-total=1048576";
    const name = "driver=throttle,throttle-group=g,file.driver=raw,file.file.filename=a.raw";
    expectSame("--object", group, "--image-opts", ...commands("read 0 128k", "read 0 64k", "info", "map"), name);
    expectSame("--object", "throttle-group,id=g,x-foo=1", "--image-opts", "-c", "length", name);
    expectSame("--object", "throttle-group,id=g,x-iops-read=1,x-iops-total=1", "--image-opts", "-c", "length", name);
    expectSame("--object", "throttle-group,id=g,x-iops-read-max=1", "--image-opts", "-c", "length", name);
  });

  it("work in other verbs", () => {
    const json = '{"driver":"qcow2","file":{"driver":"blkdebug","image":{"driver":"file","filename":"o.qcow2"}}}';
    const raw = "driver=raw,file.driver=qcow2,file.file.filename=o.qcow2";
    expect(ourImg("compare", `json:${json}`, "a.qcow2").stdout).toBe("Images are identical.\n");
    expect(ourImg("convert", "-O", "raw", "--image-opts", raw, "copy.raw")).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
    expect(ourImg("compare", "copy.raw", "a.raw").stdout).toBe("Images are identical.\n");
    expect(ourImg("convert", "-n", "--target-image-opts", "a.raw", compressed).code).toBe(0);
    const read = '{"driver":"qcow2","file":{"driver":"blkdebug","inject-error":[{"event":"read_aio"}],"image":';
    const { code, stderr } = ourImg("convert", `json:${read}{"driver":"file","filename":"a.qcow2"}}}`, "copy.raw");
    expect(code).toBe(1);
    expect(stderr).toContain("EIO");
  });

  it("aren't named by images", () => {
    tool("qemu-img", ["rebase", "-u", "-b", "null-co://", "-F", "raw", "o.qcow2"], ours);
    const { code } = ourIo(
      "--image-opts",
      "-c",
      "read 0 1k",
      "driver=compress,file.driver=qcow2,file.file.filename=o.qcow2",
    );
    expect(code).toBe(1);
    expect(ourIo("-c", "read 0 1k", "o.qcow2").code).toBe(1);
  });
});

describe("the VM state, next to qemu-io's", () => {
  it("is written behind the disk and read there", () => {
    const lines = [
      "write -b 0 64k",
      "read -b -P 205 0 64k",
      "read -b -P 0 1M 1k",
      "write -b 100 512",
      "read -b 512 100",
    ];
    expectSame(...commands(...lines, "write -b -P 3 1M 512", "read -b -P 3 1M 512", "map", "length"), "a.qcow2");
    expectSameDisk("a.qcow2");
    // each reads what the other one wrote
    const reads = commands("read -b -P 205 0 64k", "read -b -P 3 1M 512");
    expect(run("qemu-io", [...reads, "a.qcow2"], ours)).toEqual(run("qemu-io", [...reads, "a.qcow2"], theirs));
    cpSync(join(theirs, "a.qcow2"), join(ours, "a.qcow2"));
    expectSame(...reads, "a.qcow2");
    expectSame(...commands("write -b -z 0 512", "write -b -f 0 512"), "a.qcow2");
  });

  it("isn't there in raw images, and isn't written read-only", () => {
    expectSame("-f", "raw", ...commands("write -b 0 64k", "read -b 0 64k"), "a.raw");
    expectSame("-r", ...commands("write -b 0 1k", "read -b -P 0 0 1k"), "a.qcow2");
  });
});
