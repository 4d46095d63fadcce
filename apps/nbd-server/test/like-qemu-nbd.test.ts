import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imgNbd, program } from "./support/img-nbd.ts";
import { nbdsh, runTool, tool } from "./support/run-tool.ts";
import { qemuIo, ScratchDirectory } from "./support/scratch-directory.ts";

const directory = new ScratchDirectory();
const at = (name: string): string => directory.file(name);

beforeAll(async () => {
  await directory.image("base.qcow2", ["write -P 1 0 1M", "write -P 2 4M 64k", "write -z 1M 64k"]);
  await directory.image(
    "over.qcow2",
    ["write -P 3 64k 64k", "write -c -P 5 7M 64k"],
    ["-b", at("base.qcow2"), "-F", "qcow2"],
  );
  await tool("qemu-img", "snapshot", "-c", "one", at("over.qcow2"));
  await qemuIo(at("over.qcow2"), "qcow2", "write -P 4 256k 64k");
  await tool("qemu-img", "convert", "-O", "raw", at("over.qcow2"), at("disk.raw"));
  await directory.image("bitmaps.qcow2", ["write 0 64k"]);
  await tool("qemu-img", "bitmap", "--add", at("bitmaps.qcow2"), "on");
  await tool("qemu-img", "bitmap", "--add", "-g", "4k", at("bitmaps.qcow2"), "off");
  await qemuIo(at("bitmaps.qcow2"), "qcow2", "write 1M 128k", "write -z 5M 4k", "write -z 6M 20k", "write 8128k 64k");
  await tool("qemu-img", "bitmap", "--disable", at("bitmaps.qcow2"), "off");
  await qemuIo(at("bitmaps.qcow2"), "qcow2", "write 3M 64k");
  await tool(
    "qemu-img",
    "create",
    "-q",
    "-f",
    "qcow2",
    "-b",
    at("bitmaps.qcow2"),
    "-F",
    "qcow2",
    at("above.qcow2"),
    "12M",
  );
});
afterAll(() => {
  directory[Symbol.dispose]();
});

/** What clients see of an export: what nbdinfo says, maps and contents included. */
interface Seen {
  readonly info: Readonly<Record<string, unknown>>;
  readonly maps: readonly string[];
  readonly bytes: string;
}

/** Serves with a program, in the background, as long as clients look. */
async function look(command: readonly string[], args: readonly string[], name: string): Promise<Seen> {
  const path = at(`socket-${String(Math.random())}`);
  const [first = "", ...rest] = command;
  const uri = `nbd+unix:///${name}?socket=${path}`;
  const server = execFile(first, [...rest, "-t", "-k", path, ...args]);
  try {
    for (let tries = 0; (await runTool("nbdinfo", ["--size", uri])).code !== 0; tries++) {
      if (tries > 100 || server.exitCode !== null) {
        throw new Error(`${command.join(" ")} ${args.join(" ")} doesn't serve`);
      }
      await sleep(20);
    }
    const info =
      (JSON.parse(await tool("nbdinfo", "--json", uri)) as { exports: Record<string, unknown>[] }).exports[0] ?? {};
    const contexts = [...(info["contexts"] as readonly string[])].sort();
    const maps: string[] = [];
    for (const context of contexts) {
      maps.push(await tool("nbdinfo", `--map=${context}`, "--json", uri));
    }
    const copy = at("look.raw");
    await tool("nbdcopy", "--connections=1", uri, copy);
    const bytes = await tool("sha256sum", copy);
    return { info: { ...info, contexts }, maps, bytes };
  } finally {
    const ended = new Promise((resolve) => server.once("close", resolve));
    server.kill("SIGTERM");
    await ended;
  }
}

/** What may differ: what ours can do besides, and block sizes, which are advice. */
const ours = [
  "can_multi_conn",
  "can_fast_zero",
  "uri",
  "block_size_minimum",
  "block_size_preferred",
  "block_size_maximum",
  "can_cache",
];
const alike = ({ info, ...seen }: Seen): object => ({
  ...seen,
  info: Object.fromEntries(Object.entries(info).filter(([key]) => !ours.includes(key))),
});

describe("what clients see is what they see of qemu-nbd", () => {
  test.each([
    ["-f qcow2", ["-f", "qcow2", "over.qcow2"]],
    ["-r", ["-r", "-f", "qcow2", "over.qcow2"]],
    ["-A", ["-A", "-f", "qcow2", "over.qcow2"]],
    ["-s", ["-s", "-f", "qcow2", "over.qcow2"]],
    ["-s -A", ["-s", "-A", "-f", "qcow2", "over.qcow2"]],
    ["-l", ["-l", "one", "-f", "qcow2", "over.qcow2"]],
    ["-l snapshot.name=", ["-l", "snapshot.name=one", "-f", "qcow2", "over.qcow2"]],
    ["-o", ["-o", "65536", "-f", "raw", "disk.raw"]],
    ["-D", ["-D", "some text", "-f", "raw", "disk.raw"]],
    ["--image-opts", ["--image-opts", "driver=qcow2,file.driver=file,file.filename=over.qcow2"]],
    ["--cache=none", ["--cache=none", "-f", "qcow2", "over.qcow2"]],
    ["-n", ["-n", "-f", "raw", "disk.raw"]],
    [
      "--discard=unmap --detect-zeroes=unmap",
      ["--discard=unmap", "--detect-zeroes=unmap", "-f", "qcow2", "over.qcow2"],
    ],
    ["--aio=threads", ["--aio=threads", "-f", "raw", "disk.raw"]],
    ["-r -B", ["-r", "-B", "on", "-f", "qcow2", "bitmaps.qcow2"]],
    ["-B", ["-B", "off", "-f", "qcow2", "bitmaps.qcow2"]],
    ["-B -B", ["-B", "off", "-B", "on", "-f", "qcow2", "bitmaps.qcow2"]],
    ["-B, from below", ["-B", "off", "-f", "qcow2", "above.qcow2"]],
    ["-s -B", ["-s", "-B", "off", "-f", "qcow2", "bitmaps.qcow2"]],
    ["json:", ["-r", `json:{"driver":"qcow2","file":{"driver":"file","filename":"over.qcow2"}}`]],
  ] as const)("%s", async (_, args) => {
    const placed = args.map((arg) => arg.replace(/(over\.qcow2|disk\.raw|bitmaps\.qcow2|above\.qcow2)/, at("$1")));
    const theirs = await look(["qemu-nbd"], placed, "");
    expect(alike(await look([process.execPath, program], placed, ""))).toEqual(alike(theirs));
  });

  test("-x", async () => {
    const args = ["-x", "a name", "-f", "raw", at("disk.raw")];
    const theirs = await look(["qemu-nbd"], args, "a%20name");
    expect(alike(await look([process.execPath, program], args, "a%20name"))).toEqual(alike(theirs));
  });
});

describe("what is refused is refused by both, with these words", () => {
  test.each([
    ["an image that isn't there", ["missing"], /Could not open 'missing': No such file or directory/],
    ["no image", [], /Invalid number of arguments/],
    ["a format that nobody knows", ["-f", "foo", "disk.raw"], /Unknown driver 'foo'/],
    ["another format than it is", ["-f", "qcow2", "disk.raw"], /Image is not in qcow2 format/],
    [
      "a snapshot that isn't there",
      ["-f", "qcow2", "-l", "two", "over.qcow2"],
      /Failed to load snapshot: Can't find snapshot/,
    ],
    ["a bitmap that isn't there", ["-f", "qcow2", "-B", "b", "over.qcow2"], /Bitmap 'b' is not found/],
    ["an offset past the end", ["-f", "raw", "-o", "100000000", "disk.raw"], /Offset|offset/],
    ["a cache mode that isn't one", ["--cache=foo", "disk.raw"], /Invalid cache mode/],
    ["cache modes twice", ["-n", "--cache=none", "disk.raw"], /-n and --cache can only be specified once/],
    ["an aio mode that isn't one", ["--aio=foo", "disk.raw"], /Invalid aio mode/],
    ["a discard mode that isn't one", ["--discard=foo", "disk.raw"], /Invalid discard mode/],
    ["a detect-zeroes mode that isn't one", ["--detect-zeroes=foo", "disk.raw"], /detect.zeroes mode/],
    [
      "zeroes that free space where nothing may",
      ["--detect-zeroes=unmap", "--discard=ignore", "disk.raw"],
      /setting detect-zeroes to unmap is not allowed without setting discard operation to unmap/,
    ],
    ["a count that is none", ["-e", "x", "disk.raw"], /Invalid shared/],
    [
      "credentials that nobody has defined",
      ["--tls-creds=x", "disk.raw"],
      /Failed to get TLS creds: No TLS credentials with id 'x'/,
    ],
    ["a list with an image", ["-L", "disk.raw"], /List mode is incompatible with a file name/],
    ["an option that isn't one", ["--bogus", "disk.raw"], /unrecognized option '--bogus'/],
  ] as const)("%s", async (_, args, words) => {
    const theirs = await runTool("qemu-nbd", args, directory.path);
    const { code, stderr, stdout } = await imgNbd(args, directory.path);
    expect({ code, stdout }).toEqual({ code: theirs.code, stdout: "" });
    expect(theirs.stderr).toMatch(words);
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain("internal error");
  });

  test.each(["-c /dev/nbd0", "-d", "--tls-authz=x", "--trace=x", "--selinux-label=x"])(
    "%s: by name, by us alone",
    async (option) => {
      const { code, stderr } = await imgNbd([...option.split(" "), at("disk.raw")]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/isn't supported \[ERR_IMG_UNSUPPORTED\]\n.+/);
    },
  );
});

test("--fork, --pid-file and the end of the last client go as with qemu-nbd", async () => {
  for (const [first = "", ...rest] of [["qemu-nbd"], [process.execPath, program]]) {
    const path = at("forked");
    const pidFile = at("pid");
    const args = [...rest, "--fork", "-f", "raw", "-k", path, "--pid-file", pidFile, at("disk.raw")];
    const { code } = await runTool(first, args);
    expect(code).toBe(0);
    expect(readFileSync(pidFile, "utf8")).toMatch(/^\d+\n$/);
    expect(await nbdsh(`h.connect_uri("nbd+unix:///?socket=${path}"); print(h.get_size()); h.shutdown()`)).toBe(
      "8388608\n",
    );
    for (let tries = 0; existsSync(path); tries++) {
      expect(tries).toBeLessThan(500);
      await sleep(10);
    }
    // qemu-nbd leaves it
    rmSync(pidFile, { force: true });
  }
});
