import { CommandError } from "../errors/command-error.ts";

const powers: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5, e: 6 };

/**
 * A number of bytes with an optional suffix, as qemu-img takes it: `512`, `0x200`, `1.5G`, `64k`. Suffixes are powers of 1024; a fraction
 * needs one; a result that isn't whole is cut.
 *
 * @param limit - what it has to be below
 * @returns `undefined` when it isn't one; `"range"` when it isn't below `limit`
 */
export function parseSize(text: string, limit: number = 2 ** 63): number | "range" | undefined {
  const hexadecimal = /^\s*0[xX][0-9a-fA-F]+$/.test(text);
  if (hexadecimal) {
    return inRange(Number(text), limit);
  }
  const match = /^\s*\+?([0-9]+)(\.[0-9]*)?([bBkKmMgGtTpPeE])?$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, whole = "", fraction, suffix = "b"] = match;
  const unit = 1024 ** (powers[suffix.toLowerCase()] ?? 0);
  const part = Number(`0${fraction ?? ""}`);
  if (part > 0 && unit === 1) {
    return undefined;
  }
  // parts added up separately: the sum of both is exact as long as it can be
  return inRange(Number(whole) * unit + Math.trunc(part * unit), limit);
}

function inRange(value: number, limit: number): number | "range" {
  return value < limit ? value : "range";
}

/**
 * {@link parseSize} for an option's value.
 * @param what - what the number is, for the error: `"image size"`
 * @throws CommandError in qemu-img's words, and for sizes past 2^53−1, which can't be handled exactly
 */
export function requireSize(text: string, what: string): number {
  const size = parseSize(text);
  if (size === undefined) {
    throw new CommandError(
      `Invalid ${what} specified. You may use k, M, G, T, P or E suffixes for\n` +
        "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
    );
  }
  if (size === "range" || size > Number.MAX_SAFE_INTEGER) {
    const most = size === "range" ? "9223372036854775807" : String(Number.MAX_SAFE_INTEGER);
    throw new CommandError(`Invalid ${what} specified. Must be between 0 and ${most}.`);
  }
  return size;
}
