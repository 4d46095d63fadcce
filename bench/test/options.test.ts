import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseOptions } from "../src/options.ts";
import { root } from "../src/root.ts";

describe("the command line", () => {
  test("measures the default profile where nothing else is said", () => {
    expect(parseOptions([])).toMatchObject({
      kind: "bench",
      profile: "default",
      only: [],
      list: false,
      limits: false,
      json: undefined,
    });
  });

  test("takes what a profile says, unless told otherwise", () => {
    const quick = parseOptions(["--quick"]);
    const full = parseOptions(["--full", "--size", "64", "--rounds", "9", "--seconds", "0"]);
    expect(quick).toMatchObject({ profile: "quick", size: 384, rounds: 3 });
    expect(full).toMatchObject({ profile: "full", size: 64, rounds: 9, seconds: 0 });
    expect(parseOptions(["--try"])).toMatchObject({ rounds: 0 });
    expect(parseOptions(["--limits", "--quick"])).toMatchObject({ limits: true, profile: "quick" });
  });

  test("names files from the project's root", () => {
    expect(parseOptions(["--json", "run.json", "--compare", "old.json"])).toMatchObject({
      json: join(root, "run.json"),
      compareWith: join(root, "old.json"),
    });
    expect(parseOptions(["--compare", "a.json", "/b.json"])).toEqual({
      kind: "compare",
      reports: [join(root, "a.json"), "/b.json"],
    });
    expect(parseOptions(["--write-page", "a.json"])).toEqual({ kind: "write-page", reports: [join(root, "a.json")] });
    expect(parseOptions(["--write-page", "/a.json", "/b.json", "/limits.json"])).toEqual({
      kind: "write-page",
      reports: ["/a.json", "/b.json", "/limits.json"],
    });
  });

  test.each([
    [["--quick", "--full"], "exclude each other"],
    [["--size", "12"], "multiple of 8"],
    [["--size", "0"], "at least 1"],
    [["--rounds", "1.5"], "at least 1"],
    [["--seconds=-1"], "at least 0"],
    [["--seconds", "x"], "at least 0"],
    [["stray"], "unexpected argument stray"],
    [["--write-page"], "one report to three"],
    [["--write-page", "a", "b", "c", "d"], "one report to three"],
    [["--compare", "a", "b", "c"], "unexpected argument b"],
    [["--unknown"], "unknown"],
  ])("%j is refused", (args, message) => {
    expect(() => parseOptions(args)).toThrow(message);
  });
});
