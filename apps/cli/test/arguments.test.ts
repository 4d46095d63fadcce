import { describe, expect, it } from "vitest";
import type { OptionDefinition } from "../src/arguments/option-definition.ts";
import { parseArguments, parseBeforeLast } from "../src/arguments/parse-arguments.ts";
import { UsageError } from "../src/arguments/usage-error.ts";
import { verbs } from "../src/verbs/verbs.ts";

const options: readonly OptionDefinition[] = [
  { long: "format", short: "f", value: "fmt", help: "" },
  { long: "output", value: "ofmt", help: "" },
  { long: "force-share", short: "U", help: "" },
  { long: "force-more", help: "" },
  { short: "q", help: "" },
  { short: "o", value: "options", help: "" },
];

function parsed(...args: readonly string[]): Record<string, unknown> {
  const result = parseArguments(args, options);
  const values: Record<string, unknown> = { operands: result.operands };
  for (const key of ["format", "output", "force-share", "q", "o"]) {
    if (result.has(key)) {
      values[key] = result.values(key);
    }
  }
  return values;
}

describe("parseArguments", () => {
  it.each<[string, readonly string[], Record<string, unknown>]>([
    ["operands alone", ["a", "b"], { operands: ["a", "b"] }],
    ["options behind operands", ["a", "-q", "b", "-f", "raw"], { operands: ["a", "b"], q: [""], format: ["raw"] }],
    ["values in the same word", ["-fraw", "--output=json"], { operands: [], format: ["raw"], output: ["json"] }],
    ["values in the next word", ["-f", "raw", "--output", "json"], { operands: [], format: ["raw"], output: ["json"] }],
    ["values that look like options", ["-f", "-q"], { operands: [], format: ["-q"] }],
    ["empty values", ["--output=", "-f", ""], { operands: [], output: [""], format: [""] }],
    ["bundles", ["-qU", "a"], { operands: ["a"], q: [""], "force-share": [""] }],
    ["bundles that end with a value", ["-qUfraw"], { operands: [], q: [""], "force-share": [""], format: ["raw"] }],
    ["bundles whose value is the next word", ["-Uf", "raw"], { operands: [], "force-share": [""], format: ["raw"] }],
    ["several values", ["-o", "a", "-ob"], { operands: [], o: ["a", "b"] }],
    ["long names cut short", ["--out=json", "--force-s"], { operands: [], output: ["json"], "force-share": [""] }],
    ["operands behind --", ["-q", "--", "-f", "--x"], { operands: ["-f", "--x"], q: [""] }],
    ["a dash as an operand", ["-"], { operands: ["-"] }],
    ["a value with an equals sign", ["-o", "a=b", "--format=x=y"], { operands: [], o: ["a=b"], format: ["x=y"] }],
  ])("takes %s", (_name, args, expected) => {
    expect(parsed(...args)).toEqual(expected);
  });

  it.each([
    ["--nothing", "unrecognized option '--nothing'"],
    ["-x", "unrecognized option '-x'"],
    ["-qx", "unrecognized option '-qx'"],
    ["--force", "unrecognized option '--force'"],
    ["--force-share=1", "unrecognized option '--force-share=1'"],
    ["-f", "missing argument for option '-f'"],
    ["--output", "missing argument for option '--output'"],
  ])("refuses %s", (arg, message) => {
    expect(() => parsed(arg)).toThrow(expect.objectContaining({ name: "UsageError", message }));
  });

  it("gives the last of several values", () => {
    expect(parseArguments(["-f", "a", "-f", "b"], options).value("format")).toBe("b");
    expect(parseArguments([], options).value("format")).toBeUndefined();
  });
});

describe("parseBeforeLast", () => {
  it.each<[readonly string[], readonly string[]]>([
    [
      ["a", "-1G"],
      ["a", "-1G"],
    ],
    [
      ["-q", "a", "-f", "raw", "--force"],
      ["a", "--force"],
    ],
    [
      ["--", "-a", "--"],
      ["-a", "--"],
    ],
    [["-q", "-x"], ["-x"]],
  ])("%j ends with an operand", (args, operands) => {
    expect(parseBeforeLast(args, options).operands).toEqual(operands);
  });

  it("wants two words, but for a request for help", () => {
    const help: OptionDefinition = { long: "help", short: "h", help: "" };
    expect(parseBeforeLast(["--help"], [help]).has("help")).toBe(true);
    expect(() => parseBeforeLast(["a"], options)).toThrow(new UsageError("Not enough arguments"));
    expect(() => parseBeforeLast([], options)).toThrow(new UsageError("Not enough arguments"));
    expect(() => parseBeforeLast(["a", "-f", "1G"], options)).toThrow(
      new UsageError("missing argument for option '-f'"),
    );
  });
});

describe("the table of verbs", () => {
  it.each(verbs.map((verb) => [verb.name, verb] as const))(
    "%s has no option twice, and help for each",
    (_name, verb) => {
      const names = verb.options.flatMap(({ long, short }) => [long, short]).filter((name) => name !== undefined);
      expect(new Set(names).size).toBe(names.length);
      for (const option of verb.options) {
        expect(option.help).toMatch(/^[^A-Z].*[^.]$/);
      }
    },
  );

  it.each(verbs.map((verb) => [verb.name, verb] as const))("%s can be loaded", async (_name, verb) => {
    expect(await verb.load()).toMatchObject({ run: expect.any(Function) as unknown });
  });
});
