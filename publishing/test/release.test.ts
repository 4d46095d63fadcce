import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readChangesets } from "../src/changesets.ts";
import { git } from "../src/git.ts";
import { publishedPackages, type Manifest } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { LocalRegistry } from "./support/local-registry.ts";
import { runProgram } from "./support/run-program.ts";

const packages = publishedPackages(root);
const names = packages.map(({ name }) => name);

describe("publishing without doing it", () => {
  test("takes every package that the registry doesn't have, and uploads nothing", async () => {
    await using empty = await LocalRegistry.start([]);
    const { published, code, output } = await publish(empty.url);
    expect(output).not.toMatch(/ERR|WARN/);
    expect(code).toBe(0);
    expect(published).toEqual(names);
    expect(empty.uploads).toEqual([]);
  });

  test("leaves out what the registry has", async () => {
    const [first, ...others] = names;
    await using some = await LocalRegistry.start(others.map((name) => inject("tarballs")[name]!));
    expect((await publish(some.url)).published).toEqual([first]);
    expect(some.uploads).toEqual([]);
  });
});

async function publish(registry: string): Promise<{ published: string[]; code: number | null; output: string }> {
  const { pnpmEnvironment } = (await import(pathToFileURL(join(root, "scripts", "pnpm.mjs")).href)) as {
    pnpmEnvironment: () => NodeJS.ProcessEnv;
  };
  const env = { ...pnpmEnvironment(), "npm_config_@img:registry": registry };
  const options = ["--dry-run", "--no-git-checks", "--access", "public", "--registry", registry];
  const { stdout, stderr, code } = await runProgram("pnpm", ["-r", "publish", ...options], { cwd: root, env });
  const published = [...stdout.matchAll(/^\+ (@img\/[\w-]+)@/gm)].map(([, name]) => name!).sort();
  return { published, code, output: stdout + stderr };
}

describe("a release made from the changesets", () => {
  let copy = "";
  beforeAll(async () => {
    copy = mkdtempSync(join(tmpdir(), "img-release-"));
    for (const name of ["package.json", "pnpm-workspace.yaml", ".changeset"])
      cpSync(join(root, name), join(copy, name), { recursive: true });
    for (const { directory, path } of packages) {
      for (const name of ["package.json", "CHANGELOG.md"]) cpSync(join(path, name), join(copy, directory, name));
    }
    // The private packages aren't there, and nobody but these tests needs them.
    for (const { directory, manifest } of packages) {
      const withoutTools = { ...manifest, devDependencies: undefined };
      writeFileSync(join(copy, directory, "package.json"), `${JSON.stringify(withoutTools, null, 2)}\n`);
    }
    for (const args of [
      ["init", "--quiet", "--initial-branch=main"],
      ["add", "."],
      ["commit", "--quiet", "-m", "start"],
    ]) {
      git(copy, "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false", ...args);
    }
    const changesets = createRequire(join(root, "package.json")).resolve("@changesets/cli/bin.js");
    const { code, stdout, stderr } = await runProgram(process.execPath, [changesets, "version"], { cwd: copy });
    expect(code, stdout + stderr).toBe(0);
  });
  afterAll(() => {
    rmSync(copy, { recursive: true, force: true });
  });

  test("uses all changesets up", () => {
    expect(readChangesets(root).length).toBeGreaterThan(0);
    expect(readChangesets(copy)).toEqual([]);
  });

  test.each(packages.map(({ name, directory, manifest }) => [name, directory, manifest.version] as const))(
    "gives %s a version and writes what is new below the head of its log",
    (name, directory, before) => {
      const { version } = JSON.parse(readFileSync(join(copy, directory, "package.json"), "utf8")) as Manifest;
      const log = readFileSync(join(copy, directory, "CHANGELOG.md"), "utf8");
      expect(log.startsWith(`# ${name}\n\n`)).toBe(true);
      const named = readChangesets(root).filter(({ packages }) => packages.includes(name));
      if (named.length === 0) return;
      expect(version).not.toBe(before);
      expect(log.startsWith(`# ${name}\n\n## ${version}\n\n### `)).toBe(true);
      for (const { file } of named) {
        const text = readFileSync(join(root, file), "utf8").split("---").slice(2).join("---").trim();
        expect(log).toContain(text.split("\n")[0]!);
      }
    },
  );
});
