import { AssertionError } from "node:assert/strict";

const stretch = 512;

/**
 * Asserts that two byte strings are equal, and says where they first differ rather than printing them.
 * @param offset - where the first byte lies, for the message
 */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string, offset = 0): void {
  if (actual.length !== expected.length) {
    throw new AssertionError({
      message: `${what}: found ${String(actual.length)} bytes, expected ${String(expected.length)}`,
      actual: actual.length,
      expected: expected.length,
      operator: "assertBytes",
    });
  }
  if (Buffer.compare(actual, expected) !== 0) {
    failAt(actual, (index, byte) => expected[index] === byte, expected, what, offset);
  }
}

/** Asserts that every byte equals the one in the same place of at least one of `candidates`. */
export function assertBytesOfEither(
  actual: Uint8Array,
  candidates: readonly Uint8Array[],
  what: string,
  offset = 0,
): void {
  if (candidates.some((each) => each.length === actual.length && Buffer.compare(actual, each) === 0)) {
    return;
  }
  const fits = (index: number, byte: number): boolean => candidates.some((each) => each[index] === byte);
  for (let at = 0; at < actual.length; at += stretch) {
    const part = actual.subarray(at, at + stretch);
    // most stretches come from one candidate as a whole, which is quick to tell
    const isWhole = candidates.some((each) => Buffer.compare(part, each.subarray(at, at + part.length)) === 0);
    if (!isWhole && !part.every((byte, index) => fits(at + index, byte))) {
      failAt(actual, fits, candidates.at(-1) ?? actual, what, offset);
    }
  }
}

function failAt(
  actual: Uint8Array,
  fits: (index: number, byte: number) => boolean,
  expected: Uint8Array,
  what: string,
  offset: number,
): never {
  let first = -1;
  let wrong = 0;
  actual.forEach((byte, index) => {
    if (!fits(index, byte)) {
      wrong++;
      first = first < 0 ? index : first;
    }
  });
  const place = `0x${(offset + first).toString(16)}`;
  const found = hexBytes(actual.subarray(first, first + 8));
  const wanted = hexBytes(expected.subarray(first, first + 8));
  throw new AssertionError({
    message: `${what}: bytes from ${place} are ${found}, expected ${wanted} (${String(wrong)} of ${String(actual.length)} differ)`,
    actual: found,
    expected: wanted,
    operator: "assertBytes",
  });
}

function hexBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
