// The one portable operation that has a file of its own for Node: comparing memory there is far faster than any loop. The `imports` map
// of package.json chooses it under the condition "node".
import { Buffer } from "node:buffer";
import { firstDifference as firstDifferingByte } from "./compare/first-difference-portable.ts";

/** Bytes compared at once; what differs is then looked for among them only. */
const pieceLength = 16 * 1024;

/**
 * The index of the first byte in which two buffers differ.
 *
 * @param length - bytes to compare, at most the length of either; not checked
 * @returns `length` when they are equal
 */
export function firstDifference(a: Uint8Array, b: Uint8Array, length: number): number {
  const left = Buffer.from(a.buffer, a.byteOffset, length);
  const right = Buffer.from(b.buffer, b.byteOffset, length);
  if (left.equals(right)) {
    return length;
  }
  let at = 0;
  for (;;) {
    const end = Math.min(at + pieceLength, length);
    if (left.compare(right, at, end, at, end) !== 0) {
      return at + firstDifferingByte(left.subarray(at, end), right.subarray(at, end), end - at);
    }
    at = end;
  }
}
