import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkInterfaces } from "../src/check-interfaces.ts";
import { FixtureRepository } from "./support/fixture-repository.ts";

const OLD = `/** Adds. */\nexport declare function add(a: number, b: number): number;\n`;
const NEW = `/** Adds. */\nexport declare function add(a: number, b: number, c?: number): number;\n`;
/** What is recorded of {@link OLD}. */
const RECORDED = [
  `## API Report File for "@img/sums"`,
  "",
  "> Made by `npm run api`, which is also what to do when it differs.",
  "",
  "```ts",
  "",
  "// @public",
  "export function add(a: number, b: number): number;",
  "",
  "```",
  "",
].join("\n");
const NOBODY_SAYS =
  /^the interface of @img\/sums has changed since [0-9a-f]{10}, and no changeset says so; run npm run/;

let repository: FixtureRepository;
const check = (): readonly string[] => checkInterfaces(repository.root).problems;
const update = (): readonly string[] => checkInterfaces(repository.root, { update: true }).problems;

beforeEach(() => {
  repository = new FixtureRepository();
  repository.package("sums", { index: OLD });
  repository.write("api/sums.api.md", RECORDED);
});
afterEach(() => {
  repository[Symbol.dispose]();
});

describe("an interface and what is recorded of it", () => {
  test("are the same after it was recorded", () => {
    expect(check()).toEqual([]);
    repository.remove("api");
    expect(update()).toEqual([]);
    expect(repository.read("api/sums.api.md")).toBe(RECORDED);
  });

  test("differ when a type changes, and what says so names the file, the lines and what to do", () => {
    repository.package("sums", { index: NEW });
    const [problem, ...others] = check();
    expect(others).toEqual([]);
    expect(problem).toContain("api/sums.api.md isn't the interface any more; if that is meant, run npm run api");
    expect(problem).toContain("- export function add(a: number, b: number): number;");
    expect(problem).toContain("+ export function add(a: number, b: number, c?: number): number;");
    expect(repository.read("api/sums.api.md")).not.toContain("c?");
  });

  test("differ when a type changes that isn't exported, but used by one that is", () => {
    const uses = (member: string): string =>
      `interface Hidden { ${member}: string }\nexport declare const shown: Hidden;\n`;
    repository.package("sums", { index: uses("before") });
    update();
    repository.package("sums", { index: uses("after") });
    expect(check()).toEqual([expect.stringContaining("+ after: string }")]);
  });

  test("differ when a way in is new or gone, or its package", () => {
    repository.package("sums", { index: OLD, node: OLD });
    expect(check()).toEqual([expect.stringContaining("api/sums.node.api.md")]);
    update();
    expect(check()).toEqual([]);
    repository.package("sums", { index: OLD });
    expect(check()).toEqual([expect.stringContaining("api/sums.node.api.md")]);
    update();
    expect(() => repository.read("api/sums.node.api.md")).toThrow();
    repository.remove("packages/sums/package.json");
    repository.package("others", { index: OLD });
    expect(check()).toEqual([expect.stringContaining("api/others"), expect.stringContaining("api/sums")]);
  });

  test("don't differ for comments, order or names of built files", () => {
    const two = (text: string): string => `${text}export declare const zero: 0;\n`;
    repository.package("sums", { index: two(OLD) });
    update();
    repository.package("sums", {
      index: `export { zero } from "./chunk-2.js";\nexport declare function add(a: number, b: number): number;\n`,
    });
    repository.write("packages/sums/dist/chunk-2.d.ts", "/** Nothing.\n * At all. */\nexport declare const zero: 0;\n");
    expect(check()).toEqual([]);
  });

  test("can't be compared before a build", () => {
    repository.remove("packages/sums/dist");
    expect(check).toThrow("@img/sums isn't built; run npm run build");
  });

  test("can't be compared when the declarations don't compile", () => {
    repository.package("sums", { index: `export declare const broken: NoSuchType;\n` });
    expect(check).toThrow(/@img\/sums: .*NoSuchType/);
  });

  test("aren't asked for when a package is private; that none is left is a mistake", () => {
    repository.write("packages/sums/package.json", JSON.stringify({ name: "@img/sums", private: true }));
    expect(check()).toEqual([expect.stringContaining("api/sums.api.md")]);
    expect(update()).toEqual([]);
    expect(check()).toEqual(["no package has an interface: nothing was compared"]);
  });

  test("need a changeset when both change together", () => {
    repository.changeset("old", "sums", "Sums, for the first time");
    repository.commit("start");
    repository.package("sums", { index: NEW });
    expect(update()).toEqual([expect.stringMatching(NOBODY_SAYS)]);
    expect(check()).toEqual([expect.stringMatching(NOBODY_SAYS)]);
    repository.changeset("new", "sums", "Adds three numbers");
    expect(check()).toEqual([]);
  });
});
