import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A small file system in memory, unmounted after the file's tests; `undefined` where we may not mount. */
export function smallFileSystem(kibibytes: number): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "img-small-"));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${String(kibibytes)}k`, "tmpfs", directory]);
  afterAll(() => {
    if (status === 0) {
      // a file that a failed test left open must not keep it
      execFileSync("umount", ["--lazy", directory]);
    }
    rmSync(directory, { recursive: true, force: true });
  });
  return status === 0 ? directory : undefined;
}

/** A block device that is backed by the file at `path`, detached after the file's tests; `undefined` where we may not make one. */
export function loopDevice(path: string, ...options: string[]): string | undefined {
  const { status, stdout } = spawnSync("losetup", ["--find", "--show", ...options, path], { encoding: "utf8" });
  if (status !== 0) {
    return undefined;
  }
  const device = stdout.trim();
  afterAll(() => {
    execFileSync("losetup", ["--detach", device]);
  });
  return device;
}
