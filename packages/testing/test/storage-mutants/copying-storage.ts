import { MemoryStorage, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";

/** A storage in memory that copies from others of its class, up to where they end, as a file does. */
export class CopyingStorage extends MemoryStorage {
  copyFrom(source: Storage, from: number, offset: number, length: number): number {
    // refuses if it is closed
    this.flush();
    const bytes = this.taken(source, from, length);
    this.put(bytes, offset);
    return bytes.length;
  }

  copyFromSync(source: Storage, from: number, offset: number, length: number): number {
    return this.copyFrom(source, from, offset, length);
  }

  /** What can be copied from `source`. */
  protected taken(source: Storage, from: number, length: number): Uint8Array {
    if (!(source instanceof CopyingStorage)) {
      return new Uint8Array(0);
    }
    const bytes = new Uint8Array(Math.max(0, Math.min(length, source.size - from)));
    source.read(IoVector.single(bytes), from);
    return bytes;
  }

  /** Writes what was copied. */
  protected put(bytes: Uint8Array, offset: number): void {
    this.write(IoVector.single(bytes), offset);
  }
}
