import type { Progress } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import type { Terminal } from "../terminal.ts";
import { AskedProgress } from "./asked-progress.ts";
import { HeldProgress } from "./held-progress.ts";
import { ProgressBar } from "./progress-bar.ts";
import { QemuProgress } from "./qemu-progress.ts";

/** Shows how far a command is. */
export interface ProgressLine {
  show(progress: Progress): void;
  /** Makes room for results and errors. */
  clear(): void;
  /** Called last, after results were printed. */
  end(): void;
}

const silent: ProgressLine = { show: () => undefined, clear: () => undefined, end: () => undefined };

/**
 * qemu-img's progress with `-p`, a bar for a person at a terminal, nothing with `-q`; and an answer whenever SIGUSR1 asks.
 * @param isOutputTaken - the standard output is for something else: qemu-img's progress goes to the standard error output
 */
export function progressLine(args: ParsedArguments, terminal: Terminal, isOutputTaken = false): HeldProgress {
  return new HeldProgress(new AskedProgress(shownProgress(args, terminal, isOutputTaken), terminal));
}

function shownProgress(args: ParsedArguments, terminal: Terminal, isOutputTaken: boolean): ProgressLine {
  if (args.has("q")) {
    return silent;
  }
  if (args.has("p")) {
    return new QemuProgress((text) => {
      if (isOutputTaken) {
        terminal.note(text);
      } else {
        terminal.write(text);
      }
    });
  }
  return terminal.isInteractive ? new ProgressBar(terminal) : silent;
}
