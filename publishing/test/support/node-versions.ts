import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../src/root.ts";

/** The versions of Node that packages are installed on: the oldest that they promise to run on, and the newest of each that is maintained. */
export const NODE_VERSIONS = ["20.19.0", "22.23.3", "24.21.0"] as const;

/** Beside what else is fetched once and is gone with `node_modules`. */
const CACHE = join(root, "node_modules", ".cache", "img", "node");

/**
 * A Node of this version: the one that runs, or one that npm has as a package, which is fetched once.
 *
 * @returns the directory of the program, to be put first on `PATH`
 * @throws Error with what npm said when it can't be fetched
 */
export function nodeDirectory(version: string): string {
  if (process.versions.node === version) return dirname(process.execPath);
  const name = `node-${process.platform}-${process.arch}`;
  const home = join(CACHE, `${name}-${version}`);
  const directory = join(home, "node_modules", name, "bin");
  if (existsSync(join(directory, "node"))) return directory;
  mkdirSync(CACHE, { recursive: true });
  const fetched = mkdtempSync(join(CACHE, "fetched-"));
  writeFileSync(join(fetched, "package.json"), "{}");
  const args = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", `${name}@${version}`];
  const run = spawnSync("npm", args, { cwd: fetched, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`Node ${version} could not be fetched:\n${run.stderr}`);
  // Headers and manuals are most of its files.
  for (const rest of ["include", "share"])
    rmSync(join(fetched, "node_modules", name, rest), { recursive: true, force: true });
  try {
    renameSync(fetched, home);
  } catch (error) {
    // Somebody else was faster.
    rmSync(fetched, { recursive: true, force: true });
    if (!existsSync(join(directory, "node"))) throw error;
  }
  return directory;
}
