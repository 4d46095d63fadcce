/**
 * Compares two runs of bytes, fast, and says where they differ first.
 * @param offset - where both begin, for the message
 * @throws Error when they differ
 */
export function expectBytes(actual: Uint8Array, expected: Uint8Array, what: string, offset = 0): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: ${String(actual.length)} bytes, expected ${String(expected.length)}`);
  }
  if (Buffer.compare(actual, expected) === 0) {
    return;
  }
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  const show = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(at, at + 16)).toString("hex");
  throw new Error(
    `${what}: differs from 0x${(offset + at).toString(16)} on: ${show(actual)}, expected ${show(expected)}`,
  );
}
