import { CommandError } from "../errors/command-error.ts";

/** As for {@link CommandError}. */
const brand = Symbol.for("@img/cli/UsageError");

/** A command line that can't be understood. Reported with a pointer to the help; exits with 1 whatever the command, as in qemu-img. */
export class UsageError extends CommandError {
  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  override readonly name = "UsageError";

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && brand in value;
  }
}
