import { readFileSync } from "node:fs";
import { CommandError } from "../../errors/command-error.ts";
import { strerror } from "../../errors/strerror.ts";
import type { BlkdebugSection } from "./blkdebug-rules.ts";

/**
 * The rules in a configuration file: sections `[inject-error]` and `[set-state]` of lines `key = "value"`.
 * @throws CommandError in QEMU's words
 */
export function readBlkdebugConfig(path: string): readonly BlkdebugSection[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new CommandError(`Could not read blkdebug config file: ${strerror(code) ?? message}`);
  }
  const sections: { kind: BlkdebugSection["kind"]; options: Map<string, string> }[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    parseLine(line.trim(), sections, () => new CommandError(`${path}:${String(index + 1)}: parse error`));
  }
  return sections;
}

function parseLine(
  line: string,
  sections: { kind: BlkdebugSection["kind"]; options: Map<string, string> }[],
  failure: () => CommandError,
): void {
  if (line === "" || line.startsWith("#")) {
    return;
  }
  const kind = /^\[([^\]\s"]+)(?:\s+"[^"]*")?\]$/.exec(line)?.[1];
  if (kind === "inject-error" || kind === "set-state") {
    sections.push({ kind, options: new Map() });
    return;
  }
  const [, key, value] = /^(\S+)\s+=\s*"([^"]*)"$/.exec(line) ?? [];
  const section = sections.at(-1);
  if (kind !== undefined || key === undefined || value === undefined || section === undefined) {
    throw failure();
  }
  section.options.set(key, value);
}
