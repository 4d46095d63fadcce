import type { Terminal } from "../terminal.ts";
import { reportError } from "./report-error.ts";

/**
 * Tells of errors, and fails as with others, where Node would end the process otherwise: without a word and with 0, when nothing is left to wait for
 * although the command hasn't come to its end; with 1, which isn't a failure for every command, when nobody catches an error.
 */
export class InternalErrors {
  readonly #lost: () => void;

  /** @param terminal - where they are told */
  constructor(terminal: Terminal) {
    const end = (error: unknown): void => {
      process.exit(reportError(error, terminal));
    };
    this.#lost = () => {
      end("the command stopped before its end: nothing is left that it could wait for");
    };
    process.once("beforeExit", this.#lost);
    process.on("uncaughtException", end);
  }

  /** The command has come to its end. Errors that nobody catches are still told. */
  settled(): void {
    process.off("beforeExit", this.#lost);
  }
}
