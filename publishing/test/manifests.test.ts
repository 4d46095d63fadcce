import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { publishedPackages, type Manifest } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { readChangesets } from "../src/changesets.ts";

const packages = publishedPackages(root);
const own = JSON.parse(readFileSync(join(root, "publishing", "package.json"), "utf8")) as Manifest;

test("all packages that are published are built for these tests", () => {
  expect(packages.length).toBeGreaterThanOrEqual(9);
  expect(Object.keys(own.devDependencies!)).toEqual(expect.arrayContaining(packages.map(({ name }) => name)));
});

describe.each(packages)("$name", ({ name, directory, path, manifest }) => {
  test("says where it comes from, where it runs and who may have it", () => {
    expect(manifest).toMatchObject({
      type: "module",
      license: "MIT",
      engines: { node: "^20.19 || >=22.3" },
      publishConfig: { access: "public" },
      homepage: `https://github.com/img-js/img/tree/main/${directory}#readme`,
      bugs: "https://github.com/img-js/img/issues",
      repository: { type: "git", url: "git+https://github.com/img-js/img.git", directory },
    });
    expect(manifest).toHaveProperty("description", expect.stringMatching(/^\S.{15,}[^.\s]$/));
    expect(manifest).toHaveProperty("keywords", expect.arrayContaining(["disk image"]));
    expect(manifest.version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("can be left out by bundlers where nothing of it is used, unless it is a program that nobody imports", () => {
    if (manifest.bin === undefined) expect(manifest).toHaveProperty("sideEffects", false);
    else expect(Object.keys(manifest.exports ?? {})).toEqual(["./package.json"]);
  });

  test("publishes its build, its documents and its licence, and nothing else than sources", () => {
    expect(manifest.files).toEqual(expect.arrayContaining(["dist", "README.md", "LICENSE", "CHANGELOG.md"]));
    expect(["dist", "src", "README.md", "LICENSE", "CHANGELOG.md"]).toEqual(
      expect.arrayContaining([...manifest.files!]),
    );
    for (const file of ["README.md", "LICENSE", "CHANGELOG.md"]) expect(existsSync(join(path, file)), file).toBe(true);
    expect(readFileSync(join(path, "LICENSE"), "utf8")).toBe(readFileSync(join(root, "LICENSE"), "utf8"));
    expect(readFileSync(join(path, "README.md"), "utf8").split("\n")[0]).toBe(`# ${name}`);
    expect(readFileSync(join(path, "CHANGELOG.md"), "utf8").split("\n")[0]).toBe(`# ${name}`);
  });

  test("runs nothing when it is installed", () => {
    const scripts = Object.keys((manifest as { scripts?: object }).scripts ?? {});
    const hooks = /^(pre|post)?(install|prepare|pack|publish)$|^prepublishOnly$/;
    expect(scripts.filter((script) => hooks.test(script))).toEqual([]);
  });

  test("takes our packages from the workspace, and others in the workspace's one version", () => {
    const { dependencies, optionalDependencies, devDependencies } = manifest;
    const all = { ...dependencies, ...optionalDependencies, ...devDependencies };
    for (const [other, range] of Object.entries(all)) {
      expect(range, other).toBe(other.startsWith("@img/") ? "workspace:^" : "catalog:");
    }
  });

  test("has types for every way in", () => {
    for (const [way, target] of Object.entries(manifest.exports ?? {})) {
      if (way === "./package.json") continue;
      expect(Object.keys(target as object)).toEqual(["@img/source", "types", "default"]);
    }
    expect(manifest.exports).toHaveProperty(["./package.json"], "./package.json");
  });

  test("has been released, or has a changeset for its first release", () => {
    const named = readChangesets(root).some(({ packages }) => packages.includes(name));
    expect(manifest.version !== "0.0.0" || named).toBe(true);
  });
});
