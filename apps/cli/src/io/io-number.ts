import { parseSize } from "../values/parse-size.ts";
import { IoError } from "./io-error.ts";

/** Longest request, bytes: what QEMU's block layer takes at once. */
const longestRequest = 2147483136;

/**
 * A number of bytes with an optional suffix.
 * @throws IoError for what is none
 */
export function ioNumber(text: string): number {
  const value = parseSize(text);
  if (value === undefined) {
    throw new IoError(`Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`);
  }
  if (value === "range" || value > Number.MAX_SAFE_INTEGER) {
    throw new IoError(`Parsing error: argument too large -- ${text}`);
  }
  return value;
}

/**
 * The length of one request.
 * @throws IoError when it is longer than a request can be
 */
export function requestLength(text: string, without = ""): number {
  const length = ioNumber(text);
  if (length > longestRequest) {
    throw new IoError(`length cannot exceed ${String(longestRequest)}${without}, given ${text}`);
  }
  return length;
}

/**
 * A byte for a pattern, 0 to 255, decimal, octal or hexadecimal.
 * @throws IoError for what is none
 */
export function patternByte(text: string): number {
  const value = /^0[0-7]+$/.test(text)
    ? Number.parseInt(text, 8)
    : /^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)
      ? Number(text)
      : NaN;
  if (!(value <= 255)) {
    throw new IoError(`${text} is not a valid pattern byte`);
  }
  return value;
}
