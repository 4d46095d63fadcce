import { mkdirSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { publishedPackages } from "../src/published-package.ts";
import { root } from "../src/root.ts";
import { Stranger } from "./support/stranger.ts";

const require = createRequire(import.meta.url);
const libraries = publishedPackages(root).filter(({ entries }) => entries.length > 0);

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  noEmit: true,
  // Our declarations are looked at, too.
  skipLibCheck: false,
  target: "ES2022",
};
const BROWSER = { lib: ["ES2022", "ESNext.Disposable", "DOM"], types: [] };
const NODE = { lib: ["ES2022", "ESNext.Disposable"], types: ["node"] };
const NODE_NEXT = { module: "NodeNext", moduleResolution: "NodeNext" };
const BUNDLER = { module: "ESNext", moduleResolution: "Bundler" };

describe("the declarations of the packages as they are published", () => {
  let stranger: Stranger;
  beforeAll(async () => {
    stranger = new Stranger(inject("registry"));
    stranger.bring(join(import.meta.dirname, "stranger", "types"), ".");
    const names = libraries.map(({ name }) => name);
    await stranger.run("npm", "install", "--omit=optional", "--ignore-scripts", ...names);
    mkdirSync(stranger.file("node_modules/@types"), { recursive: true });
    symlinkSync(dirname(require.resolve("@types/node/package.json")), stranger.file("node_modules/@types/node"));
  });
  afterAll(() => {
    stranger[Symbol.dispose]();
  });

  const check = async (compilerOptions: object, ...files: string[]) => {
    stranger.write("tsconfig.json", JSON.stringify({ compilerOptions: { ...STRICT, ...compilerOptions }, files }));
    return (await stranger.try("node", require.resolve("typescript/bin/tsc"), "-p", ".")).stdout;
  };

  test.each([
    ["NodeNext, with Node's types", { ...NODE_NEXT, ...NODE }, ["everywhere.ts", "on-node.ts"]],
    ["Bundler, with Node's types", { ...BUNDLER, ...NODE }, ["everywhere.ts", "on-node.ts"]],
    ["NodeNext, with the browser's types", { ...NODE_NEXT, ...BROWSER }, ["everywhere.ts"]],
    ["Bundler, with the browser's types", { ...BUNDLER, ...BROWSER }, ["everywhere.ts"]],
  ])("are right for %s", async (_, options, files) => {
    expect(await check(options, ...files)).toBe("");
  });

  test("are there for every way in", async () => {
    const specifiers = libraries.flatMap(({ entries }) => entries.map(({ specifier }) => specifier));
    const imports = specifiers.map((specifier, index) => `import * as way${index} from "${specifier}";`);
    const uses = specifiers.map((_, index) => `Object.keys(way${index});`);
    stranger.write("all.ts", [...imports, ...uses, ""].join("\n"));
    expect(await check({ ...NODE_NEXT, ...NODE }, "all.ts")).toBe("");
    expect(await check({ ...BUNDLER, ...NODE }, "all.ts")).toBe("");
  });

  test("are wrong for who uses them wrongly, so this test would notice", async () => {
    stranger.write(
      "wrong.ts",
      `import { IoVector } from "@img/io-vector";\nconst n: number = new IoVector();\nvoid n;\n`,
    );
    expect(await check({ ...NODE_NEXT, ...NODE }, "wrong.ts")).toContain("TS2322");
  });
});
