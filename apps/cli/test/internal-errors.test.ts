import { ImgError } from "@img/format-core";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CommandError } from "../src/errors/command-error.ts";
import { reportError } from "../src/errors/report-error.ts";
import { Terminal } from "../src/terminal.ts";
import { img, type ToolResult } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "img-internal-"));

beforeAll(() => {
  writeFileSync(join(directory, "a.raw"), Buffer.alloc(65536));
  // places for images that fail in ways that nobody foresaw
  writeFileSync(
    join(directory, "failing.mjs"),
    `const opener = (async) => ({
       *open(label) { return yield { label, async }; },
       *canonical(label) { return label; },
     });
     export const storages = {
       "never-opened": opener(() => new Promise(() => {})),
       wrong: opener(async () => undefined.length),
       "wrong-later": opener(() => new Promise(() => { setTimeout(() => undefined.length, 1); })),
       "lost-rejection": opener(() => new Promise(() => { Promise.reject(new TypeError("lost")); })),
     };`,
  );
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function run(...args: readonly string[]): ToolResult {
  return img(args, directory);
}

function shell(command: string): ToolResult {
  const script = `img() { "${process.execPath}" "${program}" "$@"; }\n${command}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: directory, encoding: "utf8" });
  return { code: status, stdout, stderr };
}

describe.each(["info", "compare"])("img %s", (verb) => {
  const others = verb === "compare" ? ["a.raw"] : [];
  const runWith = (scheme: string): ToolResult =>
    run(verb, "--plugin", "./failing.mjs", "-f", "raw", `${scheme}:x`, ...others);

  it("says so when it can't come to its end, and fails", () => {
    expect(runWith("never-opened")).toEqual({
      code: 70,
      stdout: "",
      stderr: "img: internal error: the command stopped before its end: nothing is left that it could wait for\n",
    });
  });

  it.each(["wrong", "wrong-later", "lost-rejection"])(
    "fails by its own exit code after an error of ours: %s",
    (scheme) => {
      const { code, stdout, stderr } = runWith(scheme);
      expect({ code, stdout }).toEqual({ code: 70, stdout: "" });
      expect(stderr).toMatch(/^img: internal error: TypeError: /);
    },
  );
});

describe("img compare", () => {
  it.each([
    ["a plug-in that isn't there", "img compare --plugin ./none.mjs a.raw a.raw", "no such module"],
    ["a directory as standard input", "img compare -f raw - a.raw < .", "is a directory"],
    ["standard input twice", "img compare -f raw -F raw - - < a.raw", "by one image only"],
    ["a driver that it doesn't know", "img compare --image-opts driver=nodriver,x=y driver=raw", "isn't supported"],
    ["an object that it doesn't know", "img compare --object foo a.raw a.raw", "qom-type"],
    ["an output that can't be written", "img compare a.raw a.raw > /dev/full", "No space left on device"],
  ])("doesn't say that images differ after an error: %s", (_what, command, message) => {
    const { code, stdout, stderr } = shell(command);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("doesn't say so either when nobody reads its answer", () => {
    const { code, stderr } = shell("(sleep 0.5; img compare a.raw a.raw) | true; exit ${PIPESTATUS[0]}");
    expect({ code, stderr }).toEqual({ code: 2, stderr: "" });
  });

  it("doesn't say so after errors that nobody has words for", () => {
    const terminal = new Terminal("img");
    terminal.failureCode = 2;
    const note = vi.spyOn(terminal, "note").mockReturnValue();
    expect(reportError(new ImgError("ERR_IMG_IO", "closing failed"), terminal)).toBe(2);
    expect(reportError(new CommandError("it failed", { exitCode: 4 }), terminal)).toBe(4);
    expect(note.mock.calls.flat()).toEqual(["img: closing failed [ERR_IMG_IO]\n", "img: it failed\n"]);
  });

  it("has qemu-img's exit code for a command line that it can't understand", () => {
    expect(run("compare", "a.raw").code).toBe(1);
  });
});
