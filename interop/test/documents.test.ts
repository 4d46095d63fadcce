import { copyFileSync, cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { typeErrors } from "../src/documents/check-types.ts";
import { commandExamples, runCommand } from "../src/documents/command-example.ts";
import { loadDocuments, root } from "../src/documents/document.ts";
import { extractExamples, runExample } from "../src/documents/example.ts";
import { isExpected } from "../src/documents/expected-output.ts";
import { brokenLinks, missingFiles } from "../src/documents/links.ts";
import { runTool } from "../src/run-tool.ts";

const documents = loadDocuments();
const examples = extractExamples(documents);
const commands = commandExamples(documents);
const before = process.cwd();
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-documents-"));
  // what the examples find beside them, and in the directory where they suppose images to be
  cpSync(join(root, "samples"), directory, { recursive: true });
  for (const name of ["overlay.qcow2", "upload.qcow2"]) {
    copyFileSync(join(directory, "sample.qcow2"), join(directory, name));
  }
  runTool("qemu-img", ["convert", "-O", "qcow2", join(directory, "sample.qcow2"), join(directory, "disk.qcow2")]);
  process.chdir(directory);
});
afterAll(() => {
  process.chdir(before);
  rmSync(directory, { recursive: true, force: true });
});

describe("the documents", () => {
  test("every package has one", () => {
    const packages = documents.filter(({ path }) => path.startsWith("packages/"));
    expect(packages.length).toBeGreaterThanOrEqual(7);
    expect(existsSync(join(root, "README.md"))).toBe(true);
  });

  test("that of the command line has every verb", () => {
    const help = runCommand("img --help", directory);
    const verbs = [...(/Commands:\n([^]*?)\n\n/.exec(help)?.[1] ?? "").matchAll(/^ {2}(\w+) /gm)].map(
      ([, verb]) => verb!,
    );
    expect(verbs).toContain("info");
    const text = documents.find(({ path }) => path === "apps/cli/README.md")?.text ?? "";
    expect(verbs.filter((verb) => verb !== "help" && !text.includes(`\n| \`${verb}\``))).toEqual([]);
  });

  test.each(documents.map((document) => [document.path, document] as const))(
    "%s: what it links to and the files that it names are there",
    (_, document) => {
      expect(brokenLinks(document, documents)).toEqual([]);
      expect(missingFiles(document)).toEqual([]);
    },
  );
});

describe("the programs in the documents", () => {
  test("are well typed, those that are TypeScript", () => {
    const typed = examples.filter(({ language }) => language === "ts");
    expect(typed.length).toBeGreaterThanOrEqual(5);
    expect(typeErrors(typed.map(({ path }) => path))).toEqual([]);
  });

  test.each(examples.filter(({ isTest }) => !isTest).map((example) => [example.name, example] as const))(
    "%s: prints what it says",
    async (_, example) => {
      for (const { line, promised, actual } of await runExample(example, directory)) {
        expect(isExpected(actual, promised ?? "…"), `line ${String(line)} printed ${actual}`).toBe(true);
      }
    },
  );
});

describe("the commands in the documents", () => {
  test.each(commands.map((command) => [command.name, command] as const))("%s", (_, { command, promised }) => {
    const actual = runCommand(command, directory);
    expect(isExpected(actual, promised), actual).toBe(true);
  });
});
