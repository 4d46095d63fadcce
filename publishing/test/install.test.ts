import { copyFileSync, readFileSync, realpathSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { publishedPackages } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { NODE_VERSIONS, nodeDirectory } from "./support/node-versions.ts";
import { Stranger } from "./support/stranger.ts";

const packages = publishedPackages(root);
const names = packages.map(({ name }) => name);
const specifiers = packages.flatMap(({ entries }) => entries.map(({ specifier }) => specifier));
const sample = join(root, "samples");

const LINKED = "--install-strategy=linked";

interface Installation {
  readonly what: string;
  readonly version: (typeof NODE_VERSIONS)[number];
  readonly options: readonly string[];
  readonly native: boolean;
}

const installations: Installation[] = [
  ...NODE_VERSIONS.map((version) => ({ what: `Node ${version}`, version, options: [], native: true })),
  {
    what: "a strict installation without what is optional",
    version: NODE_VERSIONS[1],
    options: ["--omit=optional", LINKED],
    native: false,
  },
];

describe.each(installations)("on $what", ({ version, options, native }) => {
  let stranger: Stranger;
  beforeAll(async () => {
    stranger = new Stranger(inject("registry"), nodeDirectory(version));
    stranger.bring(join(import.meta.dirname, "stranger"), ".");
    stranger.bring(sample, "samples");
    await stranger.run("npm", "install", ...options, ...names);
  });
  afterAll(() => {
    stranger[Symbol.dispose]();
  });

  test("every way in can be imported and required, and is the same", async () => {
    const { stdout, stderr } = await stranger.run("node", "import-all.js", ...specifiers);
    const { node, found } = JSON.parse(stdout) as { node: string; found: Record<string, string[]> };
    expect(node).toBe(version);
    expect(Object.keys(found)).toEqual(specifiers);
    for (const exported of Object.values(found)) expect(exported.length).toBeGreaterThan(0);
    expect(stderr.replaceAll(/^.*(ExperimentalWarning: CommonJS module|node --trace-warnings).*\n/gm, "")).not.toMatch(
      /warn/i,
    );
  });

  test("a program with all of them does what it should", async () => {
    const text = readFileSync(stranger.file("use-all.js"), "utf8");
    expect(specifiers.filter((specifier) => !text.includes(`from "${specifier}"`))).toEqual(["@img/nbd/node"]);
    expect((await stranger.run("node", "use-all.js")).stdout).toBe("all well\n");
  });

  test("the native helper is there only if it was to be", async () => {
    const { code } = await stranger.try("node", "--print", `require.resolve("koffi")`);
    expect(code === 0).toBe(native && options.length === 0);
  });

  test("the command describes, converts and compares", async () => {
    const img = (...args: string[]) => stranger.run("npx", "--no-install", "img", ...args);
    const version = packages.find(({ name }) => name === "@img/cli")!.manifest.version;
    expect((await img("--version")).stdout).toContain(version);
    const { stdout } = await img("info", "--output=json", "samples/sample.qcow2");
    expect(JSON.parse(stdout)).toMatchObject({ format: "qcow2", "virtual-size": 6_291_456 });
    await img("create", "-f", "qcow2", "new.qcow2", "1G");
    await img("convert", "-O", "raw", "samples/sample.qcow2", "sample.raw");
    expect((await img("compare", "samples/sample.qcow2", "sample.raw")).stdout).toBe("Images are identical.\n");
    const failed = await stranger.try("npx", "--no-install", "img", "info", "missing.qcow2");
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("missing.qcow2");
  });

  // Where npm links packages, each has what it depends on beside it, and the rest is found through what the program itself depends on.
  if (!options.includes(LINKED)) return;
  test("each package needs nothing that only others have brought along", async () => {
    const places = packages.map((each) => ({
      ...each,
      place: realpathSync(stranger.file(`node_modules/${each.name}`)),
    }));
    renameSync(stranger.file("node_modules/@img"), stranger.file("away"));
    try {
      for (const { name, entries, place } of places) {
        if (entries.length === 0) continue;
        expect(place).toContain("node_modules/.store/");
        copyFileSync(stranger.file("import-all.js"), join(place, "import-all.js"));
        const own = entries.map(({ specifier }) => specifier);
        const { stdout } = await stranger.run("node", join(place, "import-all.js"), ...own);
        expect(Object.keys((JSON.parse(stdout) as { found: object }).found), name).toEqual(own);
      }
    } finally {
      renameSync(stranger.file("away"), stranger.file("node_modules/@img"));
    }
  });
});
