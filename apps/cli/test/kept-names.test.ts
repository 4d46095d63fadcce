import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { img } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const stranger = { uid: 65534, gid: 65534 };
const sticky = 0o1777;
const disk = Buffer.concat([
  Buffer.alloc(2 ** 20, "data "),
  Buffer.alloc(3 * 2 ** 20),
  Buffer.alloc(2 ** 20 + 512, "x"),
]);
const root = mkdtempSync(join(tmpdir(), "img-kept-"));
const shared = join(root, "shared");
const target = join(shared, "target.raw");

/** Only who is root can be somebody else, and only where others can read the program. */
const canBeStranger =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [program, "--version"], { ...stranger, cwd: "/" }).status === 0;

beforeEach(() => {
  chmodSync(root, 0o755);
  mkdirSync(shared);
  writeFileSync(join(root, "disk.raw"), disk);
  writeFileSync(target, "what was there");
  chmodSync(target, 0o666);
});
afterEach(() => {
  rmSync(shared, { recursive: true });
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const words = ["convert", "-f", "raw", "-O", "raw", "../disk.raw", "target.raw"];

describe.skipIf(!canBeStranger)("a file in a directory where only owners may rename", () => {
  it("is written in place by others, and nothing is left beside it", () => {
    chmodSync(shared, sticky);
    const before = statSync(target).ino;
    const { status, stderr } = spawnSync(process.execPath, [program, ...words], {
      ...stranger,
      cwd: shared,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(statSync(target)).toMatchObject({ ino: before, uid: 0 });
    expect(readFileSync(target).equals(disk)).toBe(true);
    expect(readdirSync(shared)).toEqual(["target.raw"]);
  });

  it.each(["file", "directory"])("is replaced by the owner of the %s", (owned) => {
    chmodSync(shared, sticky);
    chownSync(owned === "file" ? target : shared, stranger.uid, stranger.gid);
    const before = statSync(target).ino;
    const { status, stderr } = spawnSync(process.execPath, [program, ...words], {
      ...stranger,
      cwd: shared,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(statSync(target).ino).not.toBe(before);
    expect(readFileSync(target).equals(disk)).toBe(true);
  });

  it("becomes the new image even if its name was to be had when the conversion began", async () => {
    chmodSync(shared, 0o777);
    // slow enough for the directory to become another one meanwhile
    const child = spawn(process.execPath, [program, words[0] ?? "", "-r", "1M", ...words.slice(1)], {
      ...stranger,
      cwd: shared,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = once(child, "close");
    while (readdirSync(shared).length < 2 && child.exitCode === null) {
      await setTimeout(5);
    }
    chmodSync(shared, sticky);
    const before = statSync(target);
    expect(await ended).toEqual([0, null]);
    expect(said).toBe("");
    expect(statSync(target).ino).toBe(before.ino);
    expect(readFileSync(target).equals(disk)).toBe(true);
    expect(statSync(target).blocks * 512).toBeLessThan(disk.length);
    expect(readdirSync(shared)).toEqual(["target.raw"]);
  });
});

it("names what a target's name can't be looked up for", () => {
  const { code, stderr } = img(["convert", "-f", "raw", "-O", "raw", "../disk.raw", "target.raw/x"], shared);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "img: target.raw/x: error while converting raw: Could not create 'target.raw/x': Not a directory\n",
  });
});
