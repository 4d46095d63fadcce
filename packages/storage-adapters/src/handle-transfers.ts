import { checkOffset, ImgError } from "@img/format-core";
import type { IoVector } from "@img/io-vector";

/** What is used of a `FileHandle` of Node's `fs.promises`. */
export interface FileHandleLike {
  readv(buffers: Uint8Array[], position: number): Promise<{ readonly bytesRead: number }>;
  writev(buffers: Uint8Array[], position: number): Promise<{ readonly bytesWritten: number }>;
  stat(): Promise<{ readonly size: number | bigint; readonly blocks: number | bigint; isFile(): boolean }>;
  truncate(size: number): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** Most bytes that one call is asked to move: some hosts count them in 31 bits. */
const longestTransfer = 0x4000_0000;

/** Buffers that one call takes (`IOV_MAX`). */
const mostBuffers = 1024;

/** Moves bytes through a handle, in as many calls as it takes. */
export class HandleTransfers {
  readonly #handle: FileHandleLike;
  readonly #label: string;

  /** @param label - the storage's, for errors */
  constructor(handle: FileHandleLike, label: string) {
    this.#handle = handle;
    this.#label = label;
  }

  /**
   * Finds out whether the handle can do what is wanted, without moving a byte.
   *
   * @returns the file's length
   * @throws ImgError `ERR_IMG_UNSUPPORTED` for what isn't a regular file; `ERR_IMG_READ_ONLY`
   */
  async open(writable: boolean): Promise<number> {
    const stats = await this.#handle.stat();
    if (!stats.isFile()) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.#label}: expected a regular file`, { subject: this.#label });
    }
    // the host refuses empty transfers, too, for which a file isn't open
    await retry(() => this.#handle.readv([new Uint8Array(0)], 0));
    if (writable) {
      await this.#checkWritable();
    }
    return this.size();
  }

  /** The file's length in bytes. */
  async size(): Promise<number> {
    const size = Number((await this.#handle.stat()).size);
    checkOffset(size, "the file's length");
    return size;
  }

  /** Fills `into` from `offset` on; bytes past the end become zero. */
  async read(into: IoVector, offset: number): Promise<void> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await retry(() => this.#handle.readv(nextBuffers(into, done), offset + done));
      if (bytesRead === 0) {
        into.fill(0, done);
        return;
      }
      done += bytesRead;
    }
  }

  /** Writes all of `from` at `offset`. */
  async write(from: IoVector, offset: number): Promise<void> {
    for (let done = 0; done < from.length;) {
      const { bytesWritten } = await retry(() => this.#handle.writev(nextBuffers(from, done), offset + done));
      if (bytesWritten === 0) {
        // asking again could go on forever
        const left = String(from.length - done);
        throw new ImgError("EIO", `${this.#label}: the host took none of ${left} bytes`, { subject: this.#label });
      }
      done += bytesWritten;
    }
  }

  async #checkWritable(): Promise<void> {
    try {
      await retry(() => this.#handle.writev([new Uint8Array(0)], 0));
    } catch (error) {
      if (!hasCode(error, "EBADF")) {
        throw error;
      }
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.#label} is not open for writing`, {
        cause: error,
        subject: this.#label,
      });
    }
  }
}

/** The buffers for the next call when `done` bytes have been moved. */
function nextBuffers(vector: IoVector, done: number): Uint8Array[] {
  return vector.slice(done, Math.min(done + longestTransfer, vector.length)).buffers.slice(0, mostBuffers);
}

/** Makes a call again that a signal interrupted. */
async function retry<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!hasCode(error, "EINTR")) {
        throw error;
      }
    }
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
