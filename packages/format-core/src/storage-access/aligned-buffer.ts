const pageSize = 65536;

/**
 * Memory whose start is page-aligned, for storages that ask for it (direct I/O). Views of it (`subarray`) are known to be aligned as
 * far as their offset is.
 */
export class AlignedBuffer extends Uint8Array<ArrayBuffer> {
  /** @param length - bytes; memory is taken in pages of 64 KiB, zeroed */
  static allocate(length: number): AlignedBuffer {
    // the only way in JavaScript to get memory that starts on a page
    const memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(length / pageSize)) });
    return new AlignedBuffer(memory.buffer, 0, length);
  }
}
