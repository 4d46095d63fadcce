import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));

it("says how far it is when SIGUSR1 asks, and goes on", async () => {
  const directory = mkdtempSync(join(tmpdir(), "img-asked-"));
  try {
    writeFileSync(join(directory, "source.raw"), Buffer.alloc(3 * 1024 * 1024, 1));
    // slow enough to be asked
    const args = [program, "convert", "-q", "-f", "raw", "-O", "raw", "-r", "1M", "source.raw", "target.raw"];
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = once(child, "exit");
    while (readdirSync(directory).length === 1 && child.exitCode === null) {
      await setTimeout(5);
    }
    child.kill("SIGUSR1");
    expect(await ended).toEqual([0, null]);
    expect(said).toMatch(/^ {4}\(\d{1,3}\.\d\d\/100%\)\n$/);
    expect(readdirSync(directory).sort()).toEqual(["source.raw", "target.raw"]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it("doesn't open a debugger where a command has no progress to tell of", async () => {
  const directory = mkdtempSync(join(tmpdir(), "img-asked-"));
  try {
    writeFileSync(join(directory, "source.raw"), Buffer.alloc(1024 * 1024, 1));
    const args = [program, "bench", "-f", "raw", "-c", "100000", "source.raw"];
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = once(child, "exit");
    // its first words say that it has begun
    await once(child.stdout, "data");
    child.kill("SIGUSR1");
    await setTimeout(100);
    child.kill("SIGKILL");
    await ended;
    expect(said).not.toContain("Debugger");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
