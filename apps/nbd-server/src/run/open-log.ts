import { closeSync, openSync, writeSync } from "node:fs";
import type { ParsedArguments, Terminal } from "@img/cli";
import { wrapHostError } from "@img/format-core";
import { choice } from "../arguments/choice.ts";
import { Log, type LogLevel } from "../observe/log.ts";

/** A log, and what ends it. */
export interface OpenLog {
  readonly log: Log;
  close(): void;
}

/**
 * The log that the command line asks for.
 * @param silent - nobody reads the standard error output
 * @throws ImgError with the host's code when the file can't be written
 */
export function openLog(args: ParsedArguments, terminal: Terminal, silent: boolean): OpenLog {
  const format = choice(args, "log-format", ["text", "json"], "text");
  const verbosity = args.values("verbose").length;
  const level: LogLevel = verbosity === 0 ? "error" : verbosity === 1 ? "info" : "debug";
  const path = args.value("log-file");
  if (path === undefined) {
    const sink = (line: string): void => {
      if (!silent) {
        terminal.note(line);
      }
    };
    return { log: new Log({ format, level, sink }), close: () => undefined };
  }
  const fd = openAppending(path);
  const sink = (line: string): void => {
    appendLine(fd, line);
  };
  return {
    log: new Log({ format, level, sink }),
    close: () => {
      closeSync(fd);
    },
  };
}

function openAppending(path: string): number {
  try {
    return openSync(path, "a", 0o640);
  } catch (error) {
    throw wrapHostError(error, `cannot write the log file ${path}`, path);
  }
}

/** A full disk must not end a server. */
function appendLine(fd: number, line: string): void {
  try {
    writeSync(fd, line);
  } catch {
    // there is nowhere to tell it
  }
}
