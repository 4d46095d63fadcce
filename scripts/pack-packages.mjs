// Packs every package that is published, as a release would: node scripts/pack-packages.mjs <directory>. Prints a JSON object
// of the packages' names and their tarballs. They have to be built.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { pnpmEnvironment } from "./pnpm.mjs";
import { root } from "./root.mjs";

/**
 * What is read of a `package.json`.
 *
 * @typedef {object} Manifest
 * @property {string} name
 * @property {boolean} [private]
 * @property {Readonly<Record<string, string>>} [bin]
 * @property {unknown} [exports]
 */

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
  const packages = publishedPackages();
  for (const { path, manifest } of packages) requireBuilt(path, manifest);
  const filters = packages.flatMap(({ manifest }) => ["--filter", manifest.name]);
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

/**
 * The packages of the workspace that are published.
 *
 * @returns {{ path: string, manifest: Manifest }[]} each with its absolute path
 */
function publishedPackages() {
  return ["packages", "apps"]
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)))
    .filter((path) => existsSync(join(path, "package.json")))
    .map((path) => {
      const text = readFileSync(join(path, "package.json"), "utf8");
      return { path, manifest: /** @type {Manifest} */ (JSON.parse(text)) };
    })
    .filter(({ manifest }) => manifest.private !== true);
}

/** @param {string} path @param {Manifest} manifest */
function requireBuilt(path, manifest) {
  const files = [...stringsIn(manifest.bin), ...stringsIn(manifest.exports)];
  const missing = files.find((file) => !file.includes("*") && !existsSync(join(path, file)));
  if (missing !== undefined) throw new Error(`${manifest.name} has no ${missing}: build it with npm run build`);
}

/** @param {unknown} value @returns {string[]} */
function stringsIn(value) {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsIn) : [];
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
