/** Options of {@link CommandError}. */
export interface CommandErrorOptions {
  /** Default 1. */
  readonly exitCode?: number;
  /** A further line that says what can be done about it. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** A command that failed in a foreseen way: its message is for the user, line by line, without the program's name. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, options: CommandErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.exitCode = options.exitCode ?? 1;
    this.hint = options.hint;
  }
}
