import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { nearest } from "../src/arguments/nearest.ts";
import { parseArguments, parseBeforeLast } from "../src/arguments/parse-arguments.ts";
import { examplesOf } from "../src/help/examples.ts";
import { verbHelp } from "../src/help/help-text.ts";
import { plugin } from "../src/verbs/common-options.ts";
import { verbs } from "../src/verbs/verbs.ts";
import { img } from "./support/run-tool.ts";

const here = tmpdir();

it.each(["bench", "dd", "resize"])("explains %s", (name) => {
  const verb = verbs.find((each) => each.name === name);
  expect(verb && verbHelp("img", verb)).toMatchSnapshot();
});

describe("help", () => {
  it("is the same by all its ways", () => {
    const { stdout, code } = img(["help", "map"], here);
    expect(code).toBe(0);
    expect(stdout).toContain("usage: img map ");
    expect(img(["map", "--help"], here).stdout).toBe(stdout);
    expect(img(["map", "-h"], here).stdout).toBe(stdout);
    expect(img(["--help", "map"], here).stdout).toBe(stdout);
    expect(img(["help", "help"], here).stdout).toContain("--man");
  });

  it("has every verb in the program's", () => {
    const { stdout } = img(["--help"], here);
    for (const { name, summary } of verbs) {
      expect(stdout).toContain(`${name.padEnd(10)} ${summary}\n`);
      expect(stdout).toMatch(new RegExp(`^  ${name} .*$`, "m"));
    }
    expect(stdout).toContain("\nSupported formats: qcow2 raw\n");
  });
});

describe("examples", () => {
  it.each(verbs)("of $name are command lines that it understands", (verb) => {
    const examples = examplesOf(verb);
    expect(examples.length).toBeGreaterThan(0);
    for (const { command } of examples) {
      const { stdout } = spawnSync("bash", ["-c", `printf '%s\\n' ${command.replace(/ >.*/, "")}`], {
        encoding: "utf8",
      });
      const [name, ...words] = stdout.split("\n").slice(0, -1);
      expect(name).toBe(verb.name);
      const parse = verb.lastIsOperand === true ? parseBeforeLast : parseArguments;
      const parsed = parse(words, [...verb.options, plugin]);
      expect(parsed.has("help")).toBe(false);
    }
  });
});

describe("what was meant", () => {
  it.each([
    [["inof", "a"], "Did you mean 'info'?"],
    [["confert"], "Did you mean 'convert'?"],
    [["INFO"], "Did you mean 'info'?"],
    [["help", "resise"], "Did you mean 'resize'?"],
    [["info", "--otput=json", "a"], "Did you mean '--output'?"],
    [["info", "--backing-chian", "a"], "Did you mean '--backing-chain'?"],
    [["info", "-output", "json", "a"], "Did you mean '--output'?"],
    [["info", "-u", "a"], "Did you mean '-U'?"],
    [["create", "-f", "qcow2", "-o", "clustersize=4k", "a", "1M"], "Did you mean 'cluster_size'?"],
  ] as const)("is guessed for %j", (args, hint) => {
    const { stderr, code } = img(args, here);
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n").at(-1)).toBe(hint);
  });

  it.each([[["frobnicate"]], [["info", "--xyzzy", "a"]], [["info", "-Z", "a"]]] as const)(
    "is not guessed for %j",
    (args) => {
      expect(img(args, here).stderr).not.toContain("Did you mean");
    },
  );

  it("is what takes fewest changes", () => {
    const known = ["create", "compare", "commit", "convert"];
    expect(nearest("comit", known)).toBe("commit");
    expect(nearest("crate", known)).toBe("create");
    expect(nearest("ocmpare", known)).toBe("compare");
    expect(nearest("x", known)).toBeUndefined();
    expect(nearest("", known)).toBeUndefined();
    expect(nearest("c", ["b"])).toBeUndefined();
  });
});
