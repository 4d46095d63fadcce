import { accessSync, constants } from "node:fs";
import { CommandError } from "../errors/command-error.ts";
import { strerror } from "../errors/strerror.ts";
import type { Terminal } from "../terminal.ts";
import { parseKeyValues } from "./key-values.ts";

/**
 * Takes what `--trace` says as QEMU's programs do. There are no events here: a name of one is warned about, a pattern matches none.
 *
 * @throws CommandError when the file of `events=` can't be read
 */
export function checkTrace(specs: readonly string[], terminal: Terminal): void {
  for (const { key, value } of specs.flatMap((spec) => parseKeyValues(spec))) {
    const pattern = key === "enable" ? value : value === undefined ? key : undefined;
    if (pattern !== undefined && !pattern.includes("*") && pattern !== "help") {
      terminal.note(`${terminal.program}: warning: trace event '${pattern}' does not exist\n`);
    }
    if (key === "events") {
      checkReadable(value ?? "");
    }
  }
}

function checkReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new CommandError(`${path}: ${strerror(code) ?? message}`);
  }
}
