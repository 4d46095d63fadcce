import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verbs } from "../src/verbs/verbs.ts";
import { call, ourNames } from "./support/called-as.ts";

const directory = mkdtempSync(join(tmpdir(), "img-completion-"));
const env = { ...ourNames(join(directory, "bin")), HOME: directory, XDG_CONFIG_HOME: directory, LC_ALL: "C.UTF-8" };

beforeAll(() => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout, code } = call(["img", "completion", shell], directory, env);
    expect(code).toBe(0);
    writeFileSync(join(directory, `img.${shell}`), stdout);
  }
  for (const name of ["disk.qcow2", "other disk.raw"]) {
    writeFileSync(join(directory, name), "");
  }
  symlinkSync(join(directory, "img.zsh"), join(directory, "_img"));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** What a line ends with, and what the shells have to offer for its last word. */
const cases: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ["img inf", ["info"]],
  ["img co", verbs.map(({ name }) => name).filter((name) => name.startsWith("co"))],
  ["img help meas", ["measure"]],
  ["img completion ", ["bash", "fish", "zsh"]],
  ["img convert --target-", ["--target-image-opts", "--target-is-zero"]],
  ["img convert -O ", ["qcow2", "raw"]],
  ["img convert -t write", ["writeback", "writethrough"]],
  ["img check -r ", ["all", "leaks"]],
  ["img info --output ", ["human", "json"]],
  ["img info disk.qcow2 --output ", ["human", "json"]],
  ["img --plugin ./x.js inf", ["info"]],
  ["img info di", ["disk.qcow2"]],
];

/** Lets bash call the function that it was told of, with the words that it would make of the line. */
function inBash(line: string): string[] {
  const words = line.split(" ").flatMap((word) => word.split(/(?==)|(?<==)/));
  const list = words.map((word) => `'${word}'`).join(" ");
  const script = `source ./img.bash; COMP_WORDS=(${list}); COMP_CWORD=${String(words.length - 1)}
    _img; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return offered(call(["bash", "-c", script], directory, env).stdout);
}

function inFish(line: string): string[] {
  const script = `source ./img.fish; complete -C ${JSON.stringify(line)}`;
  const { stdout } = call(["fish", "--no-config", "-c", script], directory, env);
  return offered(stdout.replaceAll(/\t.*$/gm, ""));
}

/** zsh completes only for somebody at a terminal: one of its own, which prints what is offered instead of showing it. */
function inZsh(line: string): string[] {
  const inner = `
    PROMPT=; RPROMPT=; fpath=(${directory} $fpath); autoload -Uz compinit; compinit -u -D
    zstyle ':completion:*' verbose no
    zstyle ':completion:*' list-separator ''
    compadd() {
      if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return $?; fi
      local -a found
      builtin compadd -A found "$@"
      print -r -- "@"\${^found}"@"
      builtin compadd "$@"
    }
    complete-quietly() { _main_complete; print -r -- "@end"; exit }
    zle -C offered complete-word complete-quietly
    bindkey '^I' offered
    print -r -- "@ready"`;
  writeFileSync(join(directory, "inner.zsh"), inner);
  const script = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z 'source ${join(directory, "inner.zsh")}'
    zpty -r z seen '*@ready*'
    zpty -n -w z ${JSON.stringify(line)}$'\\t'
    zpty -r z seen '*@end*'
    print -r -- $seen`;
  const { stdout } = call(["zsh", "-f", "-c", script], directory, env);
  return offered([...stdout.matchAll(/@([^@\s]+)@/g)].map(([, word]) => word).join("\n"));
}

function offered(lines: string): string[] {
  return [...new Set(lines.split("\n").map((each) => each.trim()))].filter((each) => each !== "").sort();
}

describe.each([
  ["bash", inBash],
  ["fish", inFish],
  ["zsh", inZsh],
] as const)("completion for %s", (shell, complete) => {
  it.each(cases)(`completes "%s"`, (line, expected) => {
    expect(complete(line)).toEqual([...expected].sort());
  });

  it("completes behind an equals sign", () => {
    const words = complete("img info --output=j").map((word) => word.replace(/^--output=/, ""));
    expect(words).toEqual(["json"]);
  });

  it("names create options", () => {
    const words = complete("img create -f qcow2 -o cluster").map((word) => word.replace(/=$/, ""));
    expect(words).toEqual(["cluster_size"]);
  });

  it(`is a program that ${shell} understands without a word`, () => {
    const { code, stderr } = call([shell, "-n", `img.${shell}`], directory, env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

it("is made for the name that the program was called by", () => {
  const { stdout } = call(["qemu-img", "completion", "bash"], directory, env);
  expect(stdout).toMatch(/^complete .* qemu-img$/m);
});

it("refuses shells that it doesn't know", () => {
  const { code, stderr } = call(["img", "completion", "tcsh"], directory, env);
  expect(code).toBe(1);
  expect(stderr).toContain("Expecting one shell: bash, zsh or fish");
});
