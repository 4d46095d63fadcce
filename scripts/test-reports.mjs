import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./root.mjs";

/**
 * Where the packages of the workspace are, and where the vitest report of each is or would be.
 *
 * @returns {{ name: string, report: string, hasTests: boolean }[]}
 */
export function testReports() {
  const below = (/** @type {string} */ parent) => readdirSync(join(root, parent)).map((name) => join(parent, name));
  return [...below("packages"), ...below("apps"), "interop", "interop-browser", "bench", "publishing", "tooling"]
    .filter((name) => existsSync(join(root, name, "package.json")))
    .map((name) => ({
      name,
      report: join(root, name, "test-results", "vitest.json"),
      hasTests: containsTests(join(root, name, "test")),
    }));
}

/** @param {string} directory */
function containsTests(directory) {
  if (!existsSync(directory)) return false;
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".test.ts"));
}
