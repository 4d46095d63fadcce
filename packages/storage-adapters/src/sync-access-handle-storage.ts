import {
  anyLimits,
  checkOffset,
  checkRange,
  ImgError,
  type StorageLimits,
  type StoragePreallocation,
  type SyncStorage,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { describeRange } from "./describe-range.ts";
import { Durability } from "./durability.ts";
import { foreignError } from "./foreign-error.ts";
import { zeroPieces } from "./zero-pieces.ts";

/** What is used of a `FileSystemSyncAccessHandle`, which `createSyncAccessHandle()` of a file in the OPFS gives to dedicated workers. */
export interface SyncAccessHandleLike {
  /** `"read-only"` where the browser knows modes and the handle was opened so. */
  readonly mode?: string;
  /** Gives how many bytes it read: fewer than asked for at the end. */
  read(buffer: Uint8Array, options: { at: number }): number;
  /** Gives how many bytes it wrote. */
  write(buffer: Uint8Array, options: { at: number }): number;
  getSize(): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** Options of {@link syncAccessHandleStorage}. */
export interface SyncAccessHandleStorageOptions {
  /** For people: appears in messages. Default `"opfs"`. */
  readonly label?: string;
  /** `false`: refuse changes. Default: whatever the handle's mode allows. */
  readonly writable?: boolean;
  /** Whether closing the storage closes the handle, and so gives up its lock. Default `true`. */
  readonly close?: boolean;
}

/**
 * A file of the origin private file system as a storage, in both worlds; everything is done at once.
 *
 * The handle belongs to the storage from then on, unless the options say otherwise. `sync` is the handle's `flush`. In the mode `readwrite-unsafe`
 * others may change the file: `invalidate` asks for its length again. A full quota fails with `ENOSPC`.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` in browsers so old that the handle answers with promises; what `getSize` failed with
 */
export function syncAccessHandleStorage(
  handle: SyncAccessHandleLike,
  options: SyncAccessHandleStorageOptions = {},
): SyncStorage {
  return new SyncAccessHandleStorage(handle, options);
}

class SyncAccessHandleStorage implements SyncStorage {
  readonly label: string;
  readonly writable: boolean;
  readonly limits: StorageLimits = anyLimits;
  readonly #handle: SyncAccessHandleLike;
  readonly #closes: boolean;
  readonly #durability = new Durability();
  #size = 0;
  #closed = false;

  constructor(handle: SyncAccessHandleLike, options: SyncAccessHandleStorageOptions) {
    this.label = options.label ?? "opfs";
    this.writable = handle.mode !== "read-only" && options.writable !== false;
    this.#handle = handle;
    this.#closes = options.close ?? true;
    this.invalidateSync();
  }

  get size(): number {
    return this.#size;
  }

  readSync(into: IoVector, offset: number): void {
    this.#checkOpen();
    checkRange(offset, into.length);
    this.#call(
      () => describeRange("read", offset, into.length),
      () => {
        this.#read(into, offset);
      },
    );
  }

  writeSync(from: IoVector, offset: number): void {
    this.#checkWritable();
    checkRange(offset, from.length);
    this.#change(
      () => describeRange("write", offset, from.length),
      () => {
        let at = offset;
        for (const buffer of from.buffers) {
          this.#write(buffer, at);
          at += buffer.length;
        }
      },
    );
  }

  /** When growing fails, the old length is restored. Space can't be reserved but by writing zeroes. */
  resizeSync(size: number, preallocation: StoragePreallocation = "zero"): void {
    this.#checkWritable();
    checkOffset(size, "size");
    const before = this.#size;
    const doing = (): string => `resize from ${String(before)} to ${String(size)} bytes`;
    this.#change(doing, () => {
      try {
        this.#resize(size, preallocation);
      } catch (error) {
        if (size > before) {
          this.#handle.truncate(before);
        }
        throw error;
      }
    });
  }

  flushSync(): void {
    this.#checkOpen();
  }

  /** Once it has failed, it fails for good: what the browser could not write may be lost. */
  syncSync(): void {
    this.#checkOpen();
    this.#call(
      () => "sync",
      () => {
        this.#durability.runSync(() => {
          this.#handle.flush();
        });
      },
    );
  }

  invalidateSync(): void {
    this.#checkOpen();
    this.#call(
      () => "ask for the length",
      () => {
        this.#measure();
      },
    );
  }

  [Symbol.dispose](): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    if (this.#closes) {
      this.#call(
        () => "close",
        () => {
          this.#handle.close();
        },
      );
    }
  }

  read(into: IoVector, offset: number): void {
    this.readSync(into, offset);
  }

  write(from: IoVector, offset: number): void {
    this.writeSync(from, offset);
  }

  resize(size: number, preallocation?: StoragePreallocation): void {
    this.resizeSync(size, preallocation);
  }

  flush(): void {
    this.flushSync();
  }

  sync(): void {
    this.syncSync();
  }

  invalidate(): void {
    this.invalidateSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  #read(into: IoVector, offset: number): void {
    let filled = 0;
    for (const buffer of into.buffers) {
      for (let done = 0; done < buffer.length;) {
        const rest = done === 0 ? buffer : buffer.subarray(done);
        const count = this.#handle.read(rest, { at: offset + filled });
        if (count === 0) {
          into.fill(0, filled);
          return;
        }
        done += count;
        filled += count;
      }
    }
  }

  #write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length;) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const count = this.#handle.write(rest, { at: offset + done });
      if (count === 0) {
        throw new ImgError("EIO", `${this.label}: the browser took none of ${String(rest.length)} bytes`, {
          subject: this.label,
        });
      }
      done += count;
    }
    this.#size = Math.max(this.#size, offset + bytes.length);
  }

  #resize(size: number, preallocation: StoragePreallocation): void {
    const gained = size - this.#size;
    if (gained > 0 && (preallocation === "allocate" || preallocation === "write")) {
      for (const { offset, bytes } of zeroPieces(this.#size, gained)) {
        this.#write(bytes, offset);
      }
    } else {
      this.#handle.truncate(size);
      this.#size = size;
    }
  }

  #measure(): void {
    const size: unknown = this.#handle.getSize();
    if (typeof size !== "number") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.label}: this browser's access handles answer with promises`, {
        subject: this.label,
      });
    }
    checkOffset(size, "size");
    this.#size = size;
  }

  /** Makes a call that changes the file, after whose failure only the browser knows its length. */
  #change(doing: () => string, call: () => void): void {
    try {
      this.#call(doing, call);
    } catch (error) {
      try {
        this.#measure();
      } catch {
        // the first failure is the one to hear of
      }
      throw error;
    }
  }

  #call(doing: () => string, call: () => void): void {
    try {
      call();
    } catch (error) {
      throw foreignError(error, doing(), this.label);
    }
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
  }

  #checkWritable(): void {
    this.#checkOpen();
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
    }
  }
}
