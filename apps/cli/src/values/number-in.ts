import { CommandError } from "../errors/command-error.ts";
import { parseSize } from "./parse-size.ts";

/** What a number on the command line may be. */
export interface NumberRange {
  /** What the number is, for the error: `"bs"`. */
  readonly what: string;
  readonly least: number;
  /** Default: 2^63−1, which may be more than can be told exactly. */
  readonly most?: number;
}

/**
 * A number with an optional suffix (`64k`) within a range.
 * @throws CommandError in qemu-img's words
 */
export function sizeIn(text: string, { what, least, most }: NumberRange): number {
  const size = parseSize(text);
  if (size === undefined) {
    throw new CommandError(
      `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for\n` +
        "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
    );
  }
  if (size === "range" || size < least || (most !== undefined && size > most)) {
    const upper = most === undefined ? "9223372036854775807" : String(most);
    throw new CommandError(`Invalid ${what} specified. Must be between ${String(least)} and ${upper}.`);
  }
  return size;
}

/**
 * A whole number in C's notation: decimal, `0x…`, or octal with a leading zero.
 * @throws CommandError in qemu-img's words
 */
export function integerIn(text: string, { what, least, most = 2 ** 31 - 1 }: NumberRange): number {
  const match = /^\s*\+?(?:(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))$/.exec(text);
  const [, hexadecimal, octal, decimal] = match ?? [];
  const value = octal === undefined ? Number(hexadecimal ?? decimal ?? NaN) : parseInt(octal, 8);
  if (!(value >= least && value <= most)) {
    throw new CommandError(`Invalid ${what} specified`);
  }
  return value;
}
