import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a tool that ran said. */
export interface ToolResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs an installed tool; fails unless it ends with one of the given codes. */
export function runTool(
  tool: "qemu-img" | "qemu-io",
  args: readonly string[],
  accept: readonly number[] = [0],
): ToolResult {
  const { status, stdout, stderr, error } = spawnSync(tool, args, {
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (error !== undefined) {
    throw error;
  }
  if (status === null || !accept.includes(status)) {
    throw new Error(`${tool} ${args.join(" ")}: ended with ${String(status)}: ${stderr}${stdout}`);
  }
  return { exitCode: status, stdout, stderr };
}

/** A directory for images, in memory where the host has `/dev/shm`. */
export class ScratchDirectory implements Disposable {
  readonly path: string = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-qcow2-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
