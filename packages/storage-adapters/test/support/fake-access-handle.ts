import type { SyncAccessHandleLike } from "../../src/index.ts";

/** A file in the fake file system: what handles share, and what outlasts them. */
export class FakeFile {
  bytes: Uint8Array = new Uint8Array(0);
  /** Bytes that all of it may take. */
  quota: number = Number.MAX_SAFE_INTEGER;
  /** Most bytes that one call moves. */
  longestTransfer: number = Number.MAX_SAFE_INTEGER;
  /** What was asked for. */
  readonly calls: string[] = [];
  isLocked = false;

  constructor(contents: Uint8Array = new Uint8Array(0)) {
    this.bytes = contents.slice();
  }
}

/**
 * A `FileSystemSyncAccessHandle` as the File System standard says: exclusive, short at the end, with zeroes in gaps, a quota that makes writes
 * and truncate fail, `InvalidStateError` after closing, and `NoModificationAllowedError` where only reading is allowed.
 */
export class FakeAccessHandle implements SyncAccessHandleLike {
  readonly mode: string;
  readonly #file: FakeFile;
  #closed = false;

  constructor(file: FakeFile, mode = "readwrite") {
    if (mode === "readwrite" && file.isLocked) {
      throw new DOMException("another open access handle", "NoModificationAllowedError");
    }
    file.isLocked ||= mode === "readwrite";
    this.#file = file;
    this.mode = mode;
  }

  read(buffer: Uint8Array, options: { at: number }): number {
    const { bytes, longestTransfer } = this.#use(`read ${String(buffer.length)} at ${String(options.at)}`);
    const count = Math.max(0, Math.min(buffer.length, bytes.length - options.at, longestTransfer));
    buffer.set(bytes.subarray(options.at, options.at + count));
    return count;
  }

  write(buffer: Uint8Array, options: { at: number }): number {
    const file = this.#change(`write ${String(buffer.length)} at ${String(options.at)}`);
    const count = Math.min(buffer.length, file.longestTransfer);
    this.#fit(Math.max(file.bytes.length, options.at + count));
    file.bytes.set(buffer.subarray(0, count), options.at);
    return count;
  }

  truncate(size: number): void {
    this.#change(`truncate ${String(size)}`);
    this.#fit(size);
  }

  getSize(): number {
    return this.#use("getSize").bytes.length;
  }

  flush(): void {
    this.#use("flush");
  }

  close(): void {
    // closing twice is no error
    this.#file.calls.push("close");
    this.#closed = true;
    this.#file.isLocked = false;
  }

  #fit(size: number): void {
    const file = this.#file;
    if (size > file.quota) {
      throw new DOMException("no capacity available for this operation", "QuotaExceededError");
    }
    if (size !== file.bytes.length) {
      const bytes = new Uint8Array(size);
      bytes.set(file.bytes.subarray(0, size));
      file.bytes = bytes;
    }
  }

  #use(call: string): FakeFile {
    if (this.#closed) {
      throw new DOMException("the access handle was already closed", "InvalidStateError");
    }
    this.#file.calls.push(call);
    return this.#file;
  }

  #change(call: string): FakeFile {
    if (this.mode === "read-only") {
      throw new DOMException("cannot write to a handle in read-only mode", "NoModificationAllowedError");
    }
    return this.#use(call);
  }
}
