import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nameImage } from "../src/images/image-name.ts";
import { loadPlugins } from "../src/plugins/load-plugins.ts";
import { resolvePlugin } from "../src/plugins/resolve-plugin.ts";

let directory = "";

function write(name: string, contents: string | object): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof contents === "string" ? contents : JSON.stringify(contents));
  return path;
}

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "img-plugins-")));
  for (const name of ["plain.js", "index.js", "lib.js", "sub.js", "types.d.ts"]) {
    write(`node_modules/@scope/conditions/${name}`, "");
    write(`node_modules/main-only/${name}`, "");
    write(`node_modules/bare/${name}`, "");
  }
  write("node_modules/@scope/conditions/package.json", {
    exports: {
      ".": { types: "./types.d.ts", browser: "./plain.js", import: { deno: "./plain.js", default: "./lib.js" } },
      "./sub": "./sub.js",
      "./gone": "./gone.js",
    },
  });
  write("node_modules/main-only/package.json", { main: "./lib.js" });
  write("local/package.json", { exports: "./entry.js" });
  write("local/entry.js", "");
  mkdirSync(join(directory, "deep/down"), { recursive: true });
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("a plug-in is found", () => {
  test.each([
    ["@scope/conditions", "node_modules/@scope/conditions/lib.js"],
    ["@scope/conditions/sub", "node_modules/@scope/conditions/sub.js"],
    ["main-only", "node_modules/main-only/lib.js"],
    ["bare", "node_modules/bare/index.js"],
    ["bare/sub.js", "node_modules/bare/sub.js"],
    ["../../local", "local/entry.js"],
    ["../../local/entry.js", "local/entry.js"],
  ])("as %s", (specifier, path) => {
    expect(resolvePlugin(specifier, join(directory, "deep/down"))).toBe(join(directory, path));
  });

  test("by its absolute path and by its URL", () => {
    const path = join(directory, "local/entry.js");
    expect(resolvePlugin(path, "/")).toBe(path);
    expect(resolvePlugin(pathToFileURL(path).href, "/")).toBe(path);
  });

  test.each([
    "@scope/conditions/gone",
    "@scope/conditions/lib.js",
    "@scope",
    "missing",
    "./missing.js",
    "deep",
    "",
    "..",
    "https://example.org/plugin.js",
  ])("unless there is none: %j", (specifier) => {
    expect(resolvePlugin(specifier, directory)).toBeUndefined();
  });
});

test("a scheme of a plug-in begins a name; with ./ before it, and as file.filename, the same name is a file", async () => {
  const opener = "{ open() {}, canonical() {} }";
  const plugins = await loadPlugins([write("opener.mjs", `export const storages = { kept: ${opener} };`)]);
  expect(nameImage("kept:a", { plugins }).spec).toEqual({ path: "kept:a" });
  expect(nameImage("./kept:a", { plugins }).spec).toEqual({ path: "./kept:a" });
  expect(() => nameImage("kept:a")).toThrow("Unknown protocol 'kept'");
  const json = (file: object): string => `json:${JSON.stringify({ driver: "qcow2", file })}`;
  expect(nameImage(json({ driver: "file", filename: "kept:a" }), { plugins }).spec.path).toBe("./kept:a");
  expect(nameImage(json({ driver: "kept", filename: "kept:a" }), { plugins }).spec.path).toBe("kept:a");
  expect(() => nameImage(json({ driver: "kept", filename: "/etc/passwd" }), { plugins })).toThrow(
    "begins with 'kept:'",
  );
});

test("two plug-ins can't have the same scheme, and one that is named twice is loaded once", async () => {
  const opener = "export const storages = { kept: { open() {}, canonical() {} } };";
  const [one, two] = [write("one.mjs", opener), write("two.mjs", opener)];
  await expect(loadPlugins([one, two])).rejects.toThrow("there is a protocol 'kept' already");
  expect(Object.keys((await loadPlugins([one, one])).storages)).toEqual(["kept"]);
  const odd = write("odd.mjs", "export default { storages: { c: { open() {}, canonical() {} } } };");
  await expect(loadPlugins([odd])).rejects.toThrow("'c' is no scheme");
});
