/**
 * Bytes with the one method of Node's `Buffer` that old packages call on what they are given (`random-access-idb` does), so that they work where
 * there is no `Buffer`.
 */
export class LegacyBytes extends Uint8Array<ArrayBufferLike> {
  // copies are plain arrays
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }

  /** `bytes` with the method: themselves if they have it, else a view of the same memory. */
  static wrap(bytes: Uint8Array): Uint8Array {
    return "copy" in bytes ? bytes : new LegacyBytes(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /**
   * Copies bytes from `start` to `end` to `target`, from `targetStart` on; as many as fit there.
   *
   * @returns how many
   */
  copy(target: Uint8Array, targetStart = 0, start = 0, end: number = this.length): number {
    const room = Math.max(0, target.length - targetStart);
    const source = this.subarray(start, Math.min(end, start + room));
    target.set(source, targetStart);
    return source.length;
  }
}
