import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readChangesets } from "../src/changesets.ts";
import { git, gitLines } from "../src/git.ts";
import { publishedPackages, type Manifest } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { LocalRegistry } from "./support/local-registry.ts";
import { runProgram } from "./support/run-program.ts";

const packages = publishedPackages(root);
const names = packages.map(({ name }) => name);
const privateManifests = gitLines(root, "ls-files", "*/package.json").filter(
  (path) => path.split("/").length === 2 && path !== "examples/package.json",
);

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
  const script = join(root, "scripts", "publish-packages.mjs");
  const options = ["--dry-run", "--no-git-checks", "--registry", registry];
  const env = { ...process.env, "npm_config_@img:registry": registry };
  const { stdout, stderr, code } = await runProgram(process.execPath, [script, ...options], { cwd: root, env });
  const published = [...stdout.matchAll(/^\+ (@img\/[\w-]+)@/gm)].map(([, name]) => name!).sort();
  return { published, code, output: stdout + stderr };
}

describe("a release made from the changesets", () => {
  let copy = "";
  beforeAll(async () => {
    copy = mkdtempSync(join(tmpdir(), "img-release-"));
    const copied = ["package.json", "pnpm-workspace.yaml", ".changeset", ...privateManifests];
    const published = packages.flatMap(({ directory }) => [`${directory}/package.json`, `${directory}/CHANGELOG.md`]);
    for (const path of [...copied, ...published]) cpSync(join(root, path), join(copy, path), { recursive: true });
    // After a release there is nothing else to release.
    const heads = names.map((name) => `"${name}": patch\n`).join("");
    writeFileSync(join(copy, ".changeset", "only-here.md"), `---\n${heads}---\n\nWritten by a test\n`);
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
    expect(readChangesets(copy)).toEqual([]);
  });

  test("leaves what isn't published as it is", () => {
    expect(privateManifests).toContain("interop/package.json");
    for (const path of privateManifests) {
      expect(readFileSync(join(copy, path), "utf8")).toBe(readFileSync(join(root, path), "utf8"));
      expect(existsSync(join(copy, path, "..", "CHANGELOG.md")), path).toBe(false);
    }
  });

  test.each(packages.map(({ name, directory, manifest }) => [name, directory, manifest.version] as const))(
    "gives %s a version and writes what is new below the head of its log",
    (name, directory, before) => {
      const { version } = JSON.parse(readFileSync(join(copy, directory, "package.json"), "utf8")) as Manifest;
      const log = readFileSync(join(copy, directory, "CHANGELOG.md"), "utf8");
      expect(log.startsWith(`# ${name}\n\n`)).toBe(true);
      expect(version).not.toBe(before);
      expect(log.startsWith(`# ${name}\n\n## ${version}\n\n### `)).toBe(true);
      expect(log).toContain("Written by a test");
      for (const { file } of readChangesets(root).filter(({ packages }) => packages.includes(name))) {
        const text = readFileSync(join(root, file), "utf8").split("---").slice(2).join("---").trim();
        expect(log).toContain(text.split("\n")[0]!);
      }
    },
  );
});
