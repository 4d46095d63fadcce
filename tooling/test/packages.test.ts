import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { FOR_TESTS, PACKAGES } from "../packages.js";

const root = dirname(dirname(import.meta.dirname));
const readJson = (...path: string[]): unknown => JSON.parse(readFileSync(join(root, ...path), "utf8"));
const tagOf = (name: string): string => name.replace("@img/", "");

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly bin?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const directories = ["packages", "apps"]
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(parent, name)))
  .concat("interop", "interop-browser", "bench", "publishing", "tooling");
const manifests = directories.map((directory) => ({
  directory,
  manifest: readJson(directory, "package.json") as Manifest,
}));
const ours = (dependencies: Readonly<Record<string, string>> = {}): string[] =>
  Object.keys(dependencies).filter((name) => name.startsWith("@img/"));

describe("the table of packages", () => {
  it("has no cycle", () => {
    const visit = (name: string, path: readonly string[]): void => {
      expect(path, [...path, name].join(" → ")).not.toContain(name);
      for (const imported of PACKAGES[name]?.imports ?? []) visit(imported, [...path, name]);
    };
    for (const name of Object.keys(PACKAGES)) visit(name, []);
  });

  it("is what turbo boundaries allows, plus what tests need", () => {
    const turbo = readJson("turbo.json") as { boundaries: { tags: Record<string, unknown> } };
    const expected = Object.entries(PACKAGES).map(([name, { imports }]) => [
      tagOf(name),
      { dependencies: { allow: turboAllows(name, imports) } },
    ]);
    expect(turbo.boundaries.tags).toEqual(Object.fromEntries(expected));
  });
});

/** turbo looks at all dependencies alike, so development ones have to be in its list. */
function turboAllows(name: string, imports: readonly string[]): string[] {
  const forTests = FOR_TESTS.filter((other) => other !== name && !(other === "@img/testing" && isBelowTesting(name)));
  const commandLine = ["@img/interop", "@img/bench", "@img/publishing"].includes(name) ? ["@img/cli"] : [];
  const server = name === "@img/publishing" ? ["@img/nbd-server"] : [];
  return [...new Set([...imports, ...forTests, ...commandLine, ...server])].map(tagOf).sort();
}

function isBelowTesting(name: string): boolean {
  return name === "@img/tooling" || PACKAGES["@img/testing"]!.imports.includes(name);
}

describe.each(manifests)("$directory", ({ directory, manifest }) => {
  it("is in the table and carries its own tag", () => {
    expect(PACKAGES).toHaveProperty([manifest.name]);
    expect(readJson(directory, "turbo.json")).toMatchObject({ tags: [tagOf(manifest.name)] });
  });

  it("depends on nothing of ours that it may not import", () => {
    // A command line is bundled: what it imports is needed to build it only.
    const sources = manifest.bin === undefined ? ours(manifest.dependencies) : [];
    expect(PACKAGES[manifest.name]?.imports).toEqual(expect.arrayContaining(sources));
  });

  it("is private or can be published", () => {
    if (manifest.private === true) return;
    expect(manifest).toMatchObject({
      type: "module",
      license: "MIT",
      engines: { node: "^20.19 || >=22.3" },
      publishConfig: { access: "public" },
      repository: { directory },
    });
    expect(readdirSync(join(root, directory))).toEqual(expect.arrayContaining(["README.md", "LICENSE"]));
  });
});
