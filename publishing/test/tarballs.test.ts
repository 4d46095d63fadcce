import { isBuiltin } from "node:module";
import { posix } from "node:path";
import ts from "typescript";
import { describe, expect, inject, test } from "vitest";
import { publishedPackages, type Manifest } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { readTarball, type PackedFile } from "./support/tarball.ts";

const tarballs = inject("tarballs");
const packages = publishedPackages(root).map((published) => {
  const files = readTarball(tarballs[published.name]!);
  return { ...published, files, packed: JSON.parse(text(files, "package.json")) as PackedManifest };
});

interface PackedManifest extends Manifest {
  readonly imports?: Readonly<Record<string, unknown>>;
}

/** What a package may consist of. */
const ALLOWED = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^dist\/([a-z0-9-]+\/)*[A-Za-z0-9_-]+\.(js|js\.map|d\.ts)$/,
  /^dist\/man\/[a-z-]+\.1$/,
  /^src\/([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/,
];

/** The largest that each may become, packed, in KiB: whoever passes it has packed something else, or says so here. */
const LARGEST: Readonly<Record<string, number>> = {
  "@img/cli": 2816,
  "@img/nbd": 288,
  "@img/nbd-server": 320,
  "@img/operations": 352,
  "@img/qcow2": 704,
};

test("each published package is packed", () => {
  expect(Object.keys(tarballs).sort()).toEqual(packages.map(({ name }) => name));
});

describe.each(packages)("$name", ({ name, manifest, files, packed }) => {
  test("has its build, its sources and its documents, and no tests, configuration or left-overs", () => {
    // A file of its own for older tools that look for the type of modules next to the program.
    const extra = manifest.bin === undefined ? [] : ["dist/package.json"];
    const strange = [...files.keys()].filter((path) => !ALLOWED.some((one) => one.test(path)) && !extra.includes(path));
    expect(strange).toEqual([]);
    expect([...files.keys()]).toEqual(expect.arrayContaining(["README.md", "LICENSE", "CHANGELOG.md", "package.json"]));
    expect([...files.values()].filter(({ bytes }) => bytes.length === 0).map(({ path }) => path)).toEqual([]);
  });

  test("is as large as it should be", () => {
    const kibibytes = [...files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0) / 1024;
    expect(kibibytes).toBeLessThan(4 * (LARGEST[name] ?? 256));
  });

  test("names files that are there, each way in with its condition", () => {
    const targets = [...strings(packed.exports), ...strings(packed.imports), ...strings(packed.bin)];
    expect(targets.filter((target) => !files.has(posix.normalize(target)))).toEqual([]);
    expect(targets.length).toBeGreaterThan(0);
  });

  test("has no workspace's versions left", () => {
    const { dependencies, optionalDependencies } = packed;
    for (const range of Object.values({ ...dependencies, ...optionalDependencies })) {
      expect(range).toMatch(/^\^?\d+\.\d+\.\d+$/);
    }
  });

  test("imports what it depends on and what Node has, and files that are there", () => {
    const allowed = new Set([name, ...Object.keys({ ...packed.dependencies, ...packed.optionalDependencies })]);
    for (const file of built(files)) {
      for (const specifier of importsOf(file)) {
        const where = `${specifier} in ${file.path}`;
        if (specifier.startsWith(".")) expect(isThere(files, file.path, specifier), where).toBe(true);
        else if (specifier.startsWith("#")) expect(packed.imports, where).toHaveProperty([specifier]);
        else if (!isBuiltin(specifier)) expect(allowed, where).toContain(packageOf(specifier));
        else expect(specifier, where).toMatch(/^node:/);
      }
    }
  });

  test("uses all that it depends on", () => {
    const used = new Set(built(files).flatMap((file) => importsOf(file).map(packageOf)));
    const unused = Object.keys({ ...packed.dependencies, ...packed.optionalDependencies }).filter(
      // The native helper is asked for by a name that bundlers don't see.
      (dependency) => !used.has(dependency) && !built(files).some(({ bytes }) => bytes.includes(`"${dependency}"`)),
    );
    expect(unused).toEqual([]);
  });

  test("has maps for its sources, which are in them", () => {
    const scripts = [...files.values()].filter(({ path }) => path.endsWith(".js"));
    for (const { path, bytes } of scripts) {
      const named = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(bytes.toString("utf8"))?.[1];
      if (named === undefined) continue;
      const map = JSON.parse(text(files, posix.join(posix.dirname(path), named))) as SourceMap;
      expect(map.sourcesContent ?? [], path).toHaveLength(map.sources.length);
      for (const source of map.sources.filter((source) => !source.includes("node_modules"))) {
        expect(files.has(posix.join(posix.dirname(path), source)), `${source} in ${path}`).toBe(true);
      }
    }
    const maps = [...files.keys()].filter((path) => path.endsWith(".map"));
    expect(maps.filter((path) => !files.has(path.replace(/\.map$/, "")))).toEqual([]);
    if (manifest.bin === undefined) expect(maps.length).toBeGreaterThan(0);
  });

  test("has programs that can be run", () => {
    for (const target of Object.values(manifest.bin ?? {})) {
      const file = files.get(posix.normalize(target));
      expect(file?.bytes.toString("utf8").split("\n")[0]).toBe("#!/usr/bin/env node");
      expect(file!.mode & 0o111).toBe(0o111);
    }
  });

  test("knows nothing of the machine that it was built on", () => {
    const revealing = [...files.values()].filter(({ bytes }) => bytes.includes(root)).map(({ path }) => path);
    expect(revealing).toEqual([]);
  });
});

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly string[];
}

function text(files: ReadonlyMap<string, PackedFile>, path: string): string {
  const file = files.get(path);
  if (file === undefined) throw new Error(`${path}: not packed`);
  return file.bytes.toString("utf8");
}

function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(strings) : [];
}

function built(files: ReadonlyMap<string, PackedFile>): PackedFile[] {
  return [...files.values()].filter(({ path }) => /\.(js|d\.ts)$/.test(path));
}

/** Of imports, exports, `import()` and `require()`, also in types. */
function importsOf({ bytes }: PackedFile): string[] {
  const found = ts.preProcessFile(bytes.toString("utf8"), true, true);
  return found.importedFiles.map(({ fileName }) => fileName);
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Declarations name the script beside them, which needn't be there if they declare types only. */
function isThere(files: ReadonlyMap<string, PackedFile>, from: string, specifier: string): boolean {
  const target = posix.join(posix.dirname(from), specifier);
  return files.has(from.endsWith(".d.ts") ? target.replace(/\.js$/, ".d.ts") : target);
}
