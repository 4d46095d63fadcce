// Publishes every package whose version the registry doesn't have: node scripts/publish-packages.mjs [pnpm's options].
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pnpmEnvironment } from "./pnpm.mjs";
import { builtPackages } from "./published-packages.mjs";
import { root } from "./root.mjs";

/**
 * Publishes what hasn't been. pnpm wants a clean checkout of `main` for it, unless told otherwise.
 *
 * @param {readonly string[]} args options of `pnpm publish`
 * @returns {number} the exit code
 * @throws {Error} when a package isn't built
 */
export function publishPackages(args) {
  const filters = builtPackages().flatMap((name) => ["--filter", name]);
  const run = spawnSync("pnpm", [...filters, "-r", "publish", ...args], {
    cwd: root,
    env: pnpmEnvironment(),
    shell: process.platform === "win32",
    stdio: "inherit",
  });
  return run.status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = publishPackages(process.argv.slice(2));
