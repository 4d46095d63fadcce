import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
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
 * The names of the packages that are published.
 *
 * @returns {string[]}
 * @throws {Error} when one of them isn't built: it would be published without what it is for
 */
export function builtPackages() {
  return ["packages", "apps"]
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)))
    .filter((path) => existsSync(join(path, "package.json")))
    .map((path) => ({ path, manifest: readManifest(path) }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ path, manifest }) => {
      requireBuilt(path, manifest);
      return manifest.name;
    });
}

/** @param {string} path */
function readManifest(path) {
  return /** @type {Manifest} */ (JSON.parse(readFileSync(join(path, "package.json"), "utf8")));
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
