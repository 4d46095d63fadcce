import { constants } from "node:os";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Turns the first signal that asks the program to end into an abort, so that it can clean up. A second one of the same kind ends it at once.
 */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #listeners = signals.map((name) => ({
    name,
    listener: (): void => {
      this.#exitCode ??= 128 + constants.signals[name];
      this.#controller.abort();
    },
  }));
  #exitCode: number | undefined;

  constructor() {
    for (const { name, listener } of this.#listeners) {
      process.once(name, listener);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What to exit with, once a signal came: 128 and its number. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Whether a failure is only that the command heard the signal. */
  explains(failure: unknown): boolean {
    let error = failure;
    while (error instanceof Error && error.name !== "AbortError") {
      error = error.cause;
    }
    return this.#exitCode !== undefined && error instanceof Error;
  }

  /** Signals do what they do without us again. */
  stop(): void {
    for (const { name, listener } of this.#listeners) {
      process.off(name, listener);
    }
  }
}
