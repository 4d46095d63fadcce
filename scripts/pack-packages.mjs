// Packs every package that is published, as a release would: node scripts/pack-packages.mjs <directory>. Prints a JSON object
// of the packages' names and their tarballs. They have to be built.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { pnpmEnvironment } from "./pnpm.mjs";
import { builtPackages } from "./published-packages.mjs";
import { root } from "./root.mjs";

/**
 * Packs every package that is published into a directory, which is made if it is missing.
 *
 * @param {string} directory where the tarballs go
 * @returns {Map<string, string>} the absolute path of each package's tarball by the package's name
 * @throws {Error} when a package isn't built, or pnpm fails
 */
export function packPackages(directory) {
  const destination = resolve(directory);
  mkdirSync(destination, { recursive: true });
  const filters = builtPackages().flatMap((name) => ["--filter", name]);
  const run = spawnSync("pnpm", [...filters, "pack", "--json", "--pack-destination", destination], {
    cwd: root,
    env: pnpmEnvironment(),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (run.status !== 0) throw new Error(`pnpm pack failed:\n${run.stdout}${run.stderr}`);
  /** @type {unknown} */
  const answer = JSON.parse(run.stdout);
  // One package is answered without a list around it.
  const packed = /** @type {{ name: string, filename: string }[]} */ (Array.isArray(answer) ? answer : [answer]);
  return new Map(packed.map(({ name, filename }) => [name, filename]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const directory = process.argv[2];
  if (directory === undefined) {
    process.stderr.write("usage: node scripts/pack-packages.mjs <directory>\n");
    process.exitCode = 2;
  } else {
    process.stdout.write(`${JSON.stringify(Object.fromEntries(packPackages(directory)), null, 2)}\n`);
  }
}
