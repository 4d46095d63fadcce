import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const root = dirname(dirname(import.meta.dirname));

interface Settings {
  readonly extends: string;
  readonly compilerOptions: Readonly<Record<string, unknown>>;
  readonly include: readonly string[];
  readonly exclude?: readonly string[];
}

const readSettings = (...path: string[]): Settings => JSON.parse(readFileSync(join(root, ...path), "utf8")) as Settings;
const below = (parent: string): string[] => readdirSync(join(root, parent)).map((name) => join(parent, name));
const shared = (name: string): string => `@img/tooling/tsconfig/${name}.json`;

/** Those that are checked together: what a package's own settings ask for beyond this, the check of all would not. */
const directories = [...below("packages"), ...below("apps"), "bench", "interop", "publishing"].filter((directory) =>
  existsSync(join(root, directory, "package.json")),
);

describe.each(directories)("the settings of %s", (directory) => {
  it("are those with which all are checked", () => {
    const own = readSettings(directory, "tsconfig.json");
    const all = readSettings("tooling/tsconfig/all.json");
    expect(own.extends).toBe(shared("workspace"));
    expect(Object.keys(own.compilerOptions)).toEqual(["tsBuildInfoFile"]);
    expect(own.include).toEqual(["src", "test"]);
    const excluded = (own.exclude ?? []).map((path) => `../../${directory}/${path}`);
    expect(all.exclude).toEqual(expect.arrayContaining(excluded));
    const pattern = directory.replace(/\/.*/, "/*");
    expect(all.include).toEqual(expect.arrayContaining([`../../${pattern}/src`, `../../${pattern}/test`]));
  });
});

describe.each(below("packages"))("the settings of the sources of %s", (directory) => {
  it("are those with which all sources are checked", () => {
    const own = readSettings(directory, "tsconfig.src.json");
    expect(Object.keys(own.compilerOptions)).toEqual(["tsBuildInfoFile"]);
    expect(own.include).toEqual(["src"]);
    const sources = `../../${directory}/src`;
    if (own.extends === shared("node")) {
      expect(readSettings("tooling/tsconfig/all-node.json").include).toContain(sources);
      expect(own.exclude).toBeUndefined();
    } else {
      expect(own.extends).toBe(shared("pure"));
      expect(readSettings("tooling/tsconfig/all-pure.json").include).toContain("../../packages/*/src");
      expect(readSettings("tooling/tsconfig/all-pure.json").exclude).not.toContain(`../../${directory}`);
    }
  });
});
