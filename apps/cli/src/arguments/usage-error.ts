import { CommandError } from "../errors/command-error.ts";

/** A command line that can't be understood. Reported with a pointer to the help. */
export class UsageError extends CommandError {
  override readonly name = "UsageError";
}
