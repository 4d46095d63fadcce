import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tool } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "img-interrupted-"));

beforeAll(() => {
  writeFileSync(join(directory, "disk.raw"), Buffer.alloc(1024 * 1024, 1));
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "disk.qcow2", "1M"], directory);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Sends a signal once `words` were said; what the program exits with if it ends soon. */
async function exitCode(
  child: ChildProcessWithoutNullStreams,
  words: string,
  signal: NodeJS.Signals,
): Promise<number | undefined> {
  let said = "";
  const ended = once(child, "exit") as Promise<[number]>;
  try {
    await new Promise<void>((resolve) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes(words)) {
          resolve();
        }
      });
    });
    child.kill(signal);
    return (await Promise.race([ended, sleep(5000)]))?.[0];
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

describe.each(["SIGINT", "SIGTERM"] as const)("the first %s", (signal) => {
  const code = 128 + constants.signals[signal];
  const start = (...args: readonly string[]): ChildProcessWithoutNullStreams =>
    spawn(process.execPath, [program, ...args], { cwd: directory });

  it("ends img bench, although the host answers all requests at once", async () => {
    const child = start("bench", "-f", "raw", "-c", "100000000", "disk.raw");
    expect(await exitCode(child, "Sending", signal)).toBe(code);
  });

  it("ends img io that waits for a command, and keeps what was written", async () => {
    const child = start("io", "-f", "qcow2", "disk.qcow2");
    child.stdin.write(`write -P ${String(code)} 64k 64k\n`);
    expect(await exitCode(child, "wrote 65536/65536", signal)).toBe(code);
    tool("qemu-img", ["check", "-q", "disk.qcow2"], directory);
    const read = `read -P ${String(code)} 64k 64k`;
    expect(tool("qemu-io", ["-c", read, "disk.qcow2"], directory)).not.toContain("failed");
  });

  it("ends img io that sleeps, and keeps what was written", async () => {
    const write = `write -P ${String(code)} 128k 64k`;
    // raising no signal at all sends what was printed on its way
    const commands = [write, "sigraise 0", "sleep 3600000"].flatMap((command) => ["-c", command]);
    const child = start("io", "-f", "qcow2", ...commands, "disk.qcow2");
    expect(await exitCode(child, "wrote 65536/65536", signal)).toBe(code);
    tool("qemu-img", ["check", "-q", "disk.qcow2"], directory);
    const read = `read -P ${String(code)} 128k 64k`;
    expect(tool("qemu-io", ["-c", read, "disk.qcow2"], directory)).not.toContain("failed");
  });

  it("ends img io whose request has stopped, which then goes on", async () => {
    const child = start("io", "-f", "qcow2", "blkdebug::disk.qcow2");
    child.stdin.write(`break write_aio A\naio_write -P ${String(code)} 192k 64k\nwait_break A\naio_flush\n`);
    expect(await exitCode(child, "Suspended request 'A'", signal)).toBe(code);
    tool("qemu-img", ["check", "-q", "disk.qcow2"], directory);
    const read = `read -P ${String(code)} 192k 64k`;
    expect(tool("qemu-io", ["-c", read, "disk.qcow2"], directory)).not.toContain("failed");
  });

  it("ends img io that waits for a request to stop", async () => {
    const child = start("io", "-f", "qcow2", "blkdebug::disk.qcow2");
    child.stdin.write("length\nwait_break A\n");
    expect(await exitCode(child, "1 MiB", signal)).toBe(code);
  });
});
