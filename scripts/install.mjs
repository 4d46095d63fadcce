import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pnpmEnvironment, rememberPnpm } from "./pnpm.mjs";
import { root } from "./root.mjs";

const stamp = join(root, "node_modules", ".cache", "img", "installed");

/**
 * Installs the workspace exactly as the lockfile says, unless that has been done.
 *
 * @param {{ force?: boolean }} [options] `force` asks pnpm even when the stamp says that nothing has changed
 * @returns {void}
 * @throws {Error} when pnpm fails; its own output has said why
 */
export function install({ force = false } = {}) {
  const wanted = fingerprint();
  if (!force && readStamp() === wanted) return;
  process.stderr.write("installing the dependencies…\n");
  // Warnings are only that the command line has no file to link to before it has been built.
  const run = spawnSync("pnpm", ["install", "--frozen-lockfile", "--reporter", "append-only", "--loglevel", "error"], {
    cwd: root,
    env: pnpmEnvironment(),
    shell: process.platform === "win32",
    // Standard output belongs to the command that needed the install.
    stdio: ["ignore", 2, 2],
  });
  if (run.status !== 0) throw new Error(`pnpm install failed with ${run.signal ?? run.status ?? run.error?.message}`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
  rememberPnpm();
}

/** Changes when an install would do something else: other dependencies, or other binaries for another machine. */
function fingerprint() {
  const hash = createHash("sha256");
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml"]) hash.update(readFileSync(join(root, file)));
  return hash.update(`${process.platform} ${process.arch}`).digest("hex");
}

function readStamp() {
  try {
    return readFileSync(stamp, "utf8");
  } catch {
    return undefined;
  }
}
