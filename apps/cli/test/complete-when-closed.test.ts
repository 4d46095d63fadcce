import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FormatAccess, ImgError } from "@img/format-core";
import { createImageFileSync } from "@img/operations/node";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseArguments } from "../src/arguments/parse-arguments.ts";
import { Terminal } from "../src/terminal.ts";
import { findVerb } from "../src/verbs/find-verb.ts";

const directory = mkdtempSync(join(tmpdir(), "img-complete-"));
const at = (name: string): string => join(directory, name);
let shown: string;

beforeEach(() => {
  const size = 1024 * 1024;
  createImageFileSync({ path: at("base"), format: "qcow2", size });
  createImageFileSync({ path: at("other"), format: "qcow2", size });
  createImageFileSync({
    path: at("top"),
    format: "qcow2",
    size,
    backingFile: { name: "base", format: "qcow2" },
    gate: "allow-all",
  });
  shown = "";
  vi.spyOn(Terminal.prototype, "write").mockImplementation((text) => {
    shown += text;
  });
  vi.spyOn(Terminal.prototype, "remark").mockResolvedValue();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function run(name: string, ...words: readonly string[]): Promise<number> {
  const verb = findVerb(name);
  const args = parseArguments(words, verb.options);
  const module = await verb.load(args);
  return module.run({ args, terminal: new Terminal("img"), signal: new AbortController().signal });
}

/** What was written can't be brought to the disk. */
function failToClose(): void {
  const { close } = FormatAccess.prototype;
  vi.spyOn(FormatAccess.prototype, "close").mockImplementation(async function (this: FormatAccess) {
    await close.call(this);
    if (this.writable) {
      throw new ImgError("EIO", "the last words were lost");
    }
  });
}

describe.each([
  ["commit", "-p", at("top")],
  ["amend", "-p", "-o", "lazy_refcounts=on", at("top")],
  ["rebase", "-p", "-b", at("other"), "-F", "qcow2", at("top")],
  ["rebase", "-p", "-u", "-b", at("other"), "-F", "qcow2", at("top")],
])("the progress of %s %s %s", (name, ...words) => {
  it("is complete when the image is closed", async () => {
    expect(await run(name, ...words)).toBe(0);
    expect(shown).toMatch(/\(100\.00\/100%\)\r\n$/);
  });

  it("isn't complete when that fails", async () => {
    failToClose();
    await expect(run(name, ...words)).rejects.toThrow(/the last words were lost|Input\/output error/);
    expect(shown).not.toContain("(100.00/100%)");
    expect(shown).toMatch(/\n$/);
  });
});
