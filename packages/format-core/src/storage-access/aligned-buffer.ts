const pageSize = 65536;

/** Marks memory that starts on a page. JavaScript doesn't tell addresses, and copies of a view lie somewhere else. */
const startsOnPage = Symbol("starts on a page");

/**
 * Memory whose start is page-aligned, for storages that ask for it (direct I/O). Views of it (`subarray`) are known to be aligned as
 * far as their offset is; copies (`slice`, `map`, …) are ordinary memory.
 */
export class AlignedBuffer extends Uint8Array<ArrayBuffer> {
  /** @param length - bytes; memory is taken in pages of 64 KiB, zeroed */
  static allocate(length: number): AlignedBuffer {
    // the only way in JavaScript to get memory that starts on a page
    const { buffer } = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(length / pageSize)) });
    Object.defineProperty(buffer, startsOnPage, { value: true });
    return new AlignedBuffer(buffer, 0, length);
  }

  /** Whether `bytes`, of whatever class, lie in memory of {@link allocate}: they are aligned as far as their `byteOffset` is. */
  static backs(bytes: Uint8Array): boolean {
    return startsOnPage in bytes.buffer;
  }
}
