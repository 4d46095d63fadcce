/** Memory that is used for one thing after another. */
export class ScratchBuffer {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** `length` bytes that hold anything, until they are taken again. They begin on a multiple of 8. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) {
      this.#bytes = new Uint8Array(length);
    }
    return this.#bytes.subarray(0, length);
  }
}
