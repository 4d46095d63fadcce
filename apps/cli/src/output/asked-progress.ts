import { constants } from "node:os";
import type { Progress } from "@img/operations";
import type { Terminal } from "../terminal.ts";
import { percentText } from "./percent-text.ts";
import type { ProgressLine } from "./progress-line.ts";

/** What asks how far a command is; BSD and macOS have one of their own, which Control-T sends. */
const signals: readonly NodeJS.Signals[] = (["SIGUSR1", "SIGINFO"] as const).filter(
  (name) => name in constants.signals,
);

/** Says how far the command is whenever a signal asks, in qemu-img's words on the standard error output. Shows everything else as another one does. */
export class AskedProgress implements ProgressLine {
  readonly #line: ProgressLine;
  #progress: Progress = { done: 0, total: 1 };
  readonly #answer: () => void;

  constructor(line: ProgressLine, terminal: Terminal) {
    this.#line = line;
    this.#answer = (): void => {
      line.clear();
      terminal.note(`${percentText(this.#progress)}\n`);
    };
    for (const signal of signals) {
      process.on(signal, this.#answer);
    }
  }

  show(progress: Progress): void {
    this.#progress = progress;
    this.#line.show(progress);
  }

  clear(): void {
    this.#line.clear();
  }

  end(): void {
    for (const signal of signals) {
      process.off(signal, this.#answer);
    }
    this.#line.end();
  }
}
