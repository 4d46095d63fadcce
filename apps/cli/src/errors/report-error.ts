import { isImgError } from "@img/format-core";
import { UsageError } from "../arguments/usage-error.ts";
import { printable } from "../output/printable.ts";
import type { Terminal } from "../terminal.ts";
import { CommandError } from "./command-error.ts";

/** What the program exits with after an internal error: `EX_SOFTWARE`, which no command has another meaning for. */
export const internalErrorCode = 70;

/**
 * Tells the user why a command failed. Foreseen failures take a line, or what qemu-img says about them; anything else is a mistake of ours
 * and shows where it happened.
 *
 * @returns the exit code
 */
export function reportError(error: unknown, terminal: Terminal): number {
  if (error instanceof CommandError) {
    if (error.isSilent) {
      return error.exitCode ?? terminal.failureCode;
    }
    reportLines(error.message, terminal);
    const hints = [
      ...(error instanceof UsageError ? [`Try '${terminal.program} --help' for more information`] : []),
      ...(error.hint?.split("\n") ?? []),
    ];
    for (const hint of hints) {
      terminal.note(`${terminal.paint(2, printable(hint))}\n`);
    }
    return error.exitCode ?? (error instanceof UsageError ? 1 : terminal.failureCode);
  }
  if (isImgError(error)) {
    reportLines(describeImgError(error), terminal);
    return terminal.failureCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  terminal.note(`${terminal.program}: internal error: ${text}\n`);
  return internalErrorCode;
}

function reportLines(message: string, terminal: Terminal): void {
  for (const line of message.split("\n")) {
    terminal.note(`${terminal.paint(31, `${terminal.program}:`)} ${printable(line)}\n`);
  }
}

/** The message, and the code unless it is the host's, which the message has already. */
export function describeImgError(error: { readonly message: string; readonly code: string }): string {
  const message = error.message.replaceAll("\n", "\\n");
  return error.code.startsWith("ERR_IMG_") ? `${message} [${error.code}]` : message;
}
