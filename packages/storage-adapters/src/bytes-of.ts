/** The bytes that a foreign object gave, without copying them; `undefined` if it gave something else. From any realm. */
export function bytesOf(answer: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(answer)) {
    return new Uint8Array(answer.buffer, answer.byteOffset, answer.byteLength);
  }
  return isArrayBuffer(answer) ? new Uint8Array(answer) : undefined;
}

function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}
