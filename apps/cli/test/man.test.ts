import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { programPage, verbPage } from "../src/man/man-page.ts";
import { roffArgument, roffText } from "../src/man/roff.ts";
import { verbs } from "../src/verbs/verbs.ts";

const directory = mkdtempSync(join(tmpdir(), "img-man-"));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const pages = new Map([
  ["img", programPage("img", verbs)],
  ...verbs.map((verb) => [`img-${verb.name}`, verbPage("img", verb)] as const),
]);

/** What a formatter says, and makes, of a page. */
function format(command: string, ...args: readonly string[]): { readonly text: string; readonly complaints: string[] } {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", cwd: directory });
  if (error !== undefined) {
    throw error;
  }
  return { text: stdout, complaints: stderr.split("\n").filter((line) => line !== "") };
}

describe.each([...pages])("the page %s", (name, page) => {
  const file = `${name}.1`;
  writeFileSync(join(directory, file), page);

  it("is what mandoc wants of a page, in style as well", () => {
    // pages that aren't installed here can't be found
    const { text } = format("mandoc", "-Tlint", file);
    expect(text.split("\n").filter((line) => line !== "" && !line.includes("referenced manual not found"))).toEqual([]);
  });

  it("can be formatted by groff", () => {
    expect(format("groff", "-mdoc", "-Tutf8", "-ww", file).complaints).toEqual([]);
  });
});

it("says everything that the help says about options", () => {
  for (const verb of verbs) {
    const { text } = format("mandoc", "-Tutf8", "-Owidth=1000", `img-${verb.name}.1`);
    // bold and underlined letters are struck twice
    const words = text.replaceAll(/.[\b]/g, "").replaceAll(/\s+/g, " ");
    for (const { hidden, help, short, long } of verb.options) {
      if (hidden !== true) {
        expect(words).toContain(help.replaceAll(/\s+/g, " "));
        expect(words).toContain(long === undefined ? `-${String(short)} ` : `--${long}`);
      }
    }
  }
});

it("keeps text from being taken for instructions", () => {
  expect(roffText(".Sh is \\fB text - and")).toBe("\\&.Sh is \\efB text \\- and");
  expect(roffText("'quoted'\ntext")).toBe("\\&'quoted' text");
  expect(roffText("One sentence. Another one.")).toBe("One sentence.\nAnother one.");
  expect(roffArgument('a "quoted" -x')).toBe('"a ""quoted"" \\-x"');
});
