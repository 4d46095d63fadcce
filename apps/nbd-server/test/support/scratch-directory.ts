import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "./run-tool.ts";

/** A directory that goes away with its user. */
export class ScratchDirectory implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "img-nbd-"));

  file(name: string): string {
    return join(this.path, name);
  }

  /** A new qcow2 image, written by commands of qemu-io. Returns its path. */
  async image(name: string, commands: readonly string[] = [], options: readonly string[] = ["8M"]): Promise<string> {
    const path = this.file(name);
    await tool("qemu-img", "create", "-q", "-f", "qcow2", path, ...options);
    if (commands.length > 0) {
      await qemuIo(path, "qcow2", ...commands);
    }
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Runs commands of qemu-io, all of which must succeed, reads with a pattern (`-P`) included. */
export async function qemuIo(target: string, format: string, ...commands: readonly string[]): Promise<void> {
  const said = await tool("qemu-io", "-f", format, ...commands.flatMap((command) => ["-c", command]), target);
  if (/fail|error/i.test(said)) {
    throw new Error(`qemu-io on ${target}: ${said}`);
  }
}
