import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pnpmEnvironment } from "./pnpm.mjs";
import { root } from "./root.mjs";

/**
 * Runs turbo on the workspace.
 *
 * @param {readonly string[]} args turbo's arguments
 * @param {{ quiet?: boolean, env?: Readonly<Record<string, string>> }} [options] `quiet` shows output only after a failure
 * @returns {number} the exit code
 */
export function turbo(args, { quiet = false, env = {} } = {}) {
  const windows = process.platform === "win32";
  const run = spawnSync(join(root, "node_modules", ".bin", windows ? "turbo.cmd" : "turbo"), [...args], {
    cwd: root,
    env: { ...pnpmEnvironment(), ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    shell: windows,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
  });
  if (run.error) throw run.error;
  const status = run.status ?? 1;
  if (quiet && status !== 0) process.stderr.write(run.stdout + run.stderr);
  return status;
}
