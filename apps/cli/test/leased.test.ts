import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "img-leased-"));

/** Takes a lease on a file, says so, and says when it is asked to give it back, which it doesn't. */
const holder = `
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
signal.signal(signal.SIGIO, lambda *_: print("asked", flush=True))
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
while True:
    time.sleep(60)
`;

let directory: string;
let child: ChildProcess | undefined;

/** @returns whether there is one: not every file system has leases */
async function lease(path: string): Promise<boolean> {
  child = spawn("python3", ["-c", holder, path], { stdio: ["ignore", "pipe", "ignore"] });
  return (await Promise.race([heard("leased"), once(child, "exit")])) === true;
}

async function heard(word: string): Promise<boolean> {
  let said = "";
  return new Promise((resolve) => {
    child?.stdout?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes(word)) {
        resolve(true);
      }
    });
  });
}

beforeEach(() => {
  directory = mkdtempSync(join(root, "case-"));
  writeFileSync(join(directory, "leased"), Buffer.alloc(65536, 1));
});
afterEach(() => {
  child?.kill("SIGKILL");
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const hasPython = process.platform === "linux" && spawnSync("python3", ["--version"]).status === 0;

describe.runIf(hasPython)("waiting until a lease is given back", () => {
  it.for([
    ["info", "leased"],
    ["map", "-f", "raw", "leased"],
    ["resize", "-f", "raw", "leased", "128k"],
    ["check", "-f", "qcow2", "leased"],
    ["create", "-q", "-f", "qcow2", "leased", "1M"],
    ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "leased", "above"],
    ["create", "-q", "-f", "qcow2", "-o", "data_file=leased", "above", "1M"],
    ["convert", "-O", "qcow2", "leased", "copy"],
    ["io", "-f", "raw", "-c", "length", "leased"],
  ])("is ended by the first signal, and nothing happens to the file: %j", async (words, { skip }) => {
    if (!(await lease(join(directory, "leased")))) {
      skip("the file system has no leases");
      return;
    }
    const asked = heard("asked");
    const img = spawn(process.execPath, [program, ...words], { cwd: directory, stdio: "ignore" });
    const ended = once(img, "exit") as Promise<[number]>;
    try {
      await asked;
      await sleep(100);
      img.kill("SIGTERM");
      expect(await Promise.race([ended, sleep(5000)])).toEqual([128 + constants.signals.SIGTERM, null]);
    } finally {
      img.kill("SIGKILL");
    }
    child?.kill("SIGKILL");
    expect(readdirSync(directory)).toEqual(["leased"]);
    expect(readFileSync(join(directory, "leased")).equals(Buffer.alloc(65536, 1))).toBe(true);
  });
});
