/** Options of {@link CommandError}. */
export interface CommandErrorOptions {
  /** Default: the command's, see `failureCode` of `Terminal`. */
  readonly exitCode?: number;
  /** A further line that says what can be done about it. */
  readonly hint?: string;
  /** Nothing is to be said about it. Default `false`. */
  readonly isSilent?: boolean;
  readonly cause?: unknown;
}

/** Shared by the files of the program, each of which has this class once. */
const brand = Symbol.for("@img/cli/CommandError");

/**
 * A command that failed in a foreseen way: its message is for the user, line by line, without the program's name. `instanceof` works across the
 * files of the program.
 */
export class CommandError extends Error {
  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  override readonly name: string = "CommandError";
  readonly exitCode: number | undefined;
  readonly hint: string | undefined;
  readonly isSilent: boolean;

  constructor(message: string, options: CommandErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.exitCode = options.exitCode;
    this.hint = options.hint;
    this.isSilent = options.isSilent ?? false;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && brand in value;
  }
}
