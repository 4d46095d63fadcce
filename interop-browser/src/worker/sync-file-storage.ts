import { anyLimits, ImgError, wrapHostError, type StorageLimits, type SyncStorage } from "@img/format-core";
import type { IoVector } from "@img/io-vector";

/** A chosen file, read without waiting, which browsers allow in workers only (`FileReaderSync`). Read-only. */
export class SyncFileStorage implements SyncStorage {
  readonly label: string;
  readonly location: string;
  readonly writable = false;
  readonly limits: StorageLimits = anyLimits;
  readonly #file: File;
  readonly #reader = new FileReaderSync();
  #closed = false;

  constructor(file: File) {
    this.#file = file;
    this.location = file.name;
    this.label = `file:${JSON.stringify(file.name)}`;
  }

  get size(): number {
    return this.#file.size;
  }

  read(into: IoVector, offset: number): void {
    this.readSync(into, offset);
  }

  readSync(into: IoVector, offset: number): void {
    this.#check();
    const end = Math.min(this.size, offset + into.length);
    const length = Math.max(0, end - offset);
    try {
      const bytes = new Uint8Array(this.#reader.readAsArrayBuffer(this.#file.slice(offset, offset + length)));
      if (bytes.length !== length) throw new Error(`got ${bytes.length} bytes, expected ${length}`);
      into.slice(0, length).copyFromSlice(bytes);
    } catch (error) {
      throw wrapHostError(error, `${this.label}: cannot read ${length} bytes at 0x${offset.toString(16)}`, this.label);
    }
    into.slice(length).fill(0);
  }

  write(): never {
    throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
  }

  writeSync(): never {
    this.write();
  }

  flush(): void {
    this.#check();
  }

  flushSync(): void {
    this.#check();
  }

  sync(): void {
    this.#check();
  }

  syncSync(): void {
    this.#check();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
  }

  #check(): void {
    if (this.#closed) throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
  }
}
