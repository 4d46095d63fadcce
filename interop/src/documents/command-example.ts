import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./document.ts";
import type { Document } from "./document.ts";

/** A command that a document shows, with what it prints. */
export interface CommandExample {
  /** Where it stands, for people. */
  readonly name: string;
  /** What follows the prompt. */
  readonly command: string;
  /** Standard output and standard error, as the document shows them. */
  readonly promised: string;
}

/** The commands in blocks of the language `console`: `$ ` begins one, its output follows. */
export function commandExamples(documents: readonly Document[]): CommandExample[] {
  return documents.flatMap((document) =>
    document.blocks
      .filter(({ language }) => language === "console")
      .flatMap(({ line, text }) =>
        text
          .split(/^\$ /m)
          .filter((part) => part.trim() !== "")
          .map((part) => {
            const [command = "", ...output] = part.split("\n");
            return {
              name: `${document.path}:${String(line)}: ${command}`,
              command,
              promised: output.join("\n"),
            };
          }),
      ),
  );
}

/** Runs a command in a shell where `img` is the built command line. Returns everything that it prints. */
export function runCommand(command: string, directory: string): string {
  const program = join(root, "apps/cli/dist/img.js");
  const script = `img() { '${process.execPath}' '${program}' "$@"; }\n{ ${command}\n} 2>&1`;
  const { stdout, error } = spawnSync("sh", ["-c", script], { cwd: directory, encoding: "utf8" });
  if (error !== undefined) {
    throw error;
  }
  return stdout;
}
