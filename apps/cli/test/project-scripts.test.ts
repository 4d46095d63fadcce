import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verbs } from "../src/verbs/verbs.ts";
import { call, ourNames } from "./support/called-as.ts";
import { projectScripts, type ProjectScript } from "./support/project-scripts.ts";
import { tool, type ToolResult } from "./support/run-tool.ts";

const root = mkdtempSync(join(tmpdir(), "img-projects-"));
const originals = join(root, "originals");
const ours = ourNames(join(root, "bin"));

beforeAll(() => {
  mkdirSync(originals);
  const make = (...args: readonly string[]): string => tool("qemu-img", args, originals);
  const io = (name: string, ...commands: readonly string[]): string =>
    tool(
      "qemu-io",
      ["-f", name.endsWith("raw") ? "raw" : "qcow2", ...commands.flatMap((each) => ["-c", each]), name],
      originals,
    );
  make("create", "-q", "-f", "qcow2", "base.qcow2", "4M");
  io("base.qcow2", "write -P 1 0 1M", "write -P 2 2M 64k");
  make("create", "-q", "-f", "raw", "base.raw", "4M");
  io("base.raw", "write -P 3 512k 1M");
  make("convert", "-f", "raw", "-O", "raw", "base.raw", "other.raw");
  make("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "overlay.qcow2");
  io("overlay.qcow2", "write -P 4 128k 192k", "write -z 2M 64k");
  make("create", "-q", "-f", "qcow2", "disk.qcow2", "4M");
  io("disk.qcow2", "write -P 5 0 300k", "write -P 6 3M 64k");
  make("convert", "-f", "qcow2", "-O", "raw", "disk.qcow2", "disk.raw");
  make("create", "-q", "-f", "raw", "target.raw", "4M");
  make("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "old.qcow2", "4M");
  io("old.qcow2", "write -P 7 1M 64k");
  make("convert", "-f", "qcow2", "-O", "qcow2", "disk.qcow2", "leaky.qcow2");
  leak(join(originals, "leaky.qcow2"));
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Says of the cluster behind the last one in use that it is. */
function leak(path: string): void {
  const bytes = readFileSync(path);
  const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
  let index = 0;
  for (let each = 0; each < 256; each++) {
    index = bytes.readUInt16BE(block + 2 * each) === 0 ? index : each + 1;
  }
  bytes.writeUInt16BE(1, block + 2 * index);
  writeFileSync(path, bytes);
}

interface Outcome {
  readonly directory: string;
  readonly results: readonly ToolResult[];
}

function play(script: ProjectScript, name: string, env: NodeJS.ProcessEnv): Outcome {
  const directory = join(root, name);
  rmSync(directory, { recursive: true, force: true });
  cpSync(originals, directory, { recursive: true });
  return { directory, results: script.calls.map((words) => call(words, directory, env)) };
}

/** Without what depends on how the host stores files, on the clock, and on how often progress is printed. */
function comparable({ code, stdout, stderr }: ToolResult): ToolResult {
  const text = stdout
    .replaceAll(/"actual-size": \d+/g, '"actual-size": N')
    .replaceAll(/^disk size: .*$/gm, "disk size: N")
    .replaceAll(/(?: +\(\d+\.\d\d\/100%\)\r)+/g, "    (100.00/100%)\r")
    .replaceAll(/"date-n?sec": \d+/g, '"date": N')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "DATE");
  return { code, stdout: text, stderr };
}

/** What both tools tell in words of their own. */
const isAboutTheProgram = (words: readonly string[]): boolean =>
  words.some((word) => /^--(?:help|version)$/.test(word));

function verbOf(words: readonly string[]): string {
  return words[words.indexOf("qemu-img") + 1] ?? "";
}

function isPossible({ calls, needs = [] }: ProjectScript): boolean {
  const wanted = [...needs, ...calls.filter((words) => !isAboutTheProgram(words)).map(verbOf)];
  return wanted.every((each) => verbs.some(({ name }) => name === each));
}

describe.each(projectScripts.map((script) => [script.project, script.what, script] as const))(
  "%s",
  (_, what, script) => {
    it.runIf(isPossible(script))(what, () => {
      const mine = play(script, "ours", ours);
      const theirs = play(script, "theirs", process.env);
      for (const [index, words] of script.calls.entries()) {
        const [our, their] = [comparable(mine.results[index]!), comparable(theirs.results[index]!)];
        if (!isAboutTheProgram(words)) {
          expect(our, words.join(" ")).toEqual(their);
        }
      }
      expect(script.parse?.(mine.results)).toEqual(script.parse?.(theirs.results));
      for (const [name, format] of Object.entries(script.images ?? {})) {
        expect(existsSync(join(mine.directory, name))).toBe(true);
        const images = [mine, theirs].map(({ directory }) => join(directory, name));
        expect(tool("qemu-img", ["compare", "-f", format, "-F", format, ...images], root), name).toBe(
          "Images are identical.\n",
        );
        if (format === "qcow2") {
          tool("qemu-img", ["check", "-q", "-f", "qcow2", name], mine.directory);
        }
      }
    });
  },
);
