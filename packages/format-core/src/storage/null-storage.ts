import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import { checkOffset, checkRange } from "../numbers/offsets.ts";
import { anyLimits, type Extent, type StorageLimits } from "./storage.ts";
import type { SyncStorage } from "./sync-storage.ts";

/**
 * A storage that holds nothing: reads as zero; what is written is forgotten, and makes it grow. For measuring what would be written
 * and how fast. An image can't be kept in it, because its tables don't come back.
 */
export class NullStorage implements SyncStorage {
  readonly writable = true;
  readonly limits: StorageLimits = anyLimits;
  #size: number;
  #closed = false;

  /** @param size - length in bytes. Default 0 */
  constructor(size: number = 0) {
    checkOffset(size, "size");
    this.#size = size;
  }

  /** `null:[<size>B]`. */
  get label(): string {
    return `null:[${String(this.#size)}B]`;
  }

  get size(): number {
    return this.#size;
  }

  read(into: IoVector, offset: number): void {
    this.#check(offset, into.length);
    into.fill(0);
  }

  write(from: IoVector, offset: number): void {
    this.writeZeroes(offset, from.length);
  }

  writeZeroes(offset: number, length: number): void {
    this.#check(offset, length);
    if (length > 0) {
      this.#size = Math.max(this.#size, offset + length);
    }
  }

  discard(offset: number, length: number): void {
    this.#check(offset, length);
  }

  extents(offset: number, length: number): readonly Extent[] {
    this.#check(offset, length);
    return length === 0 ? [] : [{ kind: "hole", offset, length }];
  }

  allocatedSize(): number {
    this.#check(0, 0);
    return 0;
  }

  resize(size: number): void {
    this.#check(0, size);
    this.#size = size;
  }

  flush(): void {
    this.#check(0, 0);
  }

  sync(): void {
    this.#check(0, 0);
  }

  invalidate(): void {
    this.#check(0, 0);
  }

  readSync(into: IoVector, offset: number): void {
    this.read(into, offset);
  }

  writeSync(from: IoVector, offset: number): void {
    this.write(from, offset);
  }

  writeZeroesSync(offset: number, length: number): void {
    this.writeZeroes(offset, length);
  }

  discardSync(offset: number, length: number): void {
    this.discard(offset, length);
  }

  extentsSync(offset: number, length: number): readonly Extent[] {
    return this.extents(offset, length);
  }

  allocatedSizeSync(): number {
    return this.allocatedSize();
  }

  resizeSync(size: number): void {
    this.resize(size);
  }

  flushSync(): void {
    this.flush();
  }

  syncSync(): void {
    this.sync();
  }

  invalidateSync(): void {
    this.invalidate();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  #check(offset: number, length: number): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
    checkRange(offset, length);
  }
}
