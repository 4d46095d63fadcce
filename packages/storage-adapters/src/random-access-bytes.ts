import { alignDown, checkOffset, ImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { RandomAccessCalls } from "./random-access-calls.ts";
import { zeroPieces } from "./zero-pieces.ts";

/** Longest piece that is moved at once, in bytes: every call has a buffer of its own. */
const longestPiece = 4 * 1024 * 1024;

/** What {@link RandomAccessBytes.open} has to know. */
export interface RandomAccessBytesOptions {
  readonly label: string;
  /** Length in bytes for what can't be asked. */
  readonly size: number | undefined;
  /** Whether what doesn't exist counts as empty. */
  readonly create: boolean;
}

/**
 * The bytes and the length of a `random-access-storage`, which keeps neither promise of a storage by itself: reads past the end fail there, gaps may hold
 * what was cut off before, and cutting off and deleting mean different things in each.
 *
 * Calls that change the length have to be alone.
 */
export class RandomAccessBytes {
  readonly #calls: RandomAccessCalls;
  #size: number;
  /** Where what may be left of earlier contents ends. */
  #staleEnd: number;
  /** Whether it is still to be made, so that it can't be asked for its length. */
  #isMissing: boolean;

  private constructor(calls: RandomAccessCalls, size: number, isMissing: boolean) {
    this.#calls = calls;
    this.#size = size;
    this.#staleEnd = size;
    this.#isMissing = isMissing;
  }

  /** Finds out the length. Changes nothing. */
  static async open(calls: RandomAccessCalls, options: RandomAccessBytesOptions): Promise<RandomAccessBytes> {
    if (options.size !== undefined) {
      checkOffset(options.size, "size");
    }
    if (!calls.canStat) {
      if (options.size === undefined) {
        throw new ImgError("ERR_IMG_UNSUPPORTED", `${options.label} can't be asked for its length, and none is given`, {
          subject: options.label,
        });
      }
      return new RandomAccessBytes(calls, options.size, false);
    }
    try {
      return new RandomAccessBytes(calls, (await calls.stat()).size, false);
    } catch (error) {
      if (options.create && error instanceof Error && "code" in error && error.code === "ENOENT") {
        return new RandomAccessBytes(calls, 0, true);
      }
      throw error;
    }
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /** Fills `into` from `offset` on; bytes past the end become zero. */
  async read(into: IoVector, offset: number): Promise<void> {
    const available = Math.max(0, Math.min(into.length, this.#size - offset));
    for (let done = 0; done < available;) {
      const piece = into.slice(done, Math.min(done + longestPiece, available));
      piece.copyFromSlice(await this.#calls.read(offset + done, piece.length));
      done += piece.length;
    }
    into.fill(0, available);
  }

  /** Writes all of `from` at `offset`, which doesn't end past the end. */
  async write(from: IoVector, offset: number): Promise<void> {
    for (let done = 0; done < from.length;) {
      const piece = from.slice(done, Math.min(done + longestPiece, from.length));
      await this.#calls.write(offset + done, piece.singleBuffer ?? piece.toUint8Array());
      done += piece.length;
    }
  }

  /** Writes `from` wherever it ends. */
  async writeGrowing(from: IoVector, offset: number): Promise<void> {
    const before = this.#size;
    try {
      await this.write(from, offset);
      this.#isMissing = false;
      this.#size = Math.max(before, offset + from.length);
      await this.#clear(before, offset);
    } catch (error) {
      // the first failure is the one to hear of
      await this.measure().catch(() => undefined);
      throw error;
    }
  }

  /** Gives up blocks up to `end`, but not the last one: where a deletion that reaches the end cuts it off, the length would change. */
  async discard(offset: number, end: number, block: number): Promise<void> {
    const stop = Math.min(end, alignDown(Math.max(0, this.#size - 1), block));
    if (stop <= offset) {
      return;
    }
    try {
      await this.#calls.del(offset, stop - offset);
    } catch (error) {
      if (!isUnable(error)) {
        throw error;
      }
    }
  }

  /** @param fill - whether to write zeroes over what is gained */
  async resize(size: number, fill: boolean): Promise<void> {
    const before = this.#size;
    try {
      if (size < before) {
        await this.#shrink(size);
      } else if (size > before) {
        await this.#grow(size, fill);
      }
    } catch (error) {
      if (size > before) {
        await this.#calls.truncate(before).catch(() => undefined);
      }
      await this.measure().catch(() => undefined);
      throw error;
    }
  }

  /** Asks for the length. */
  async measure(): Promise<void> {
    if (this.#calls.canStat && !this.#isMissing) {
      this.#size = (await this.#calls.stat()).size;
      this.#staleEnd = Math.max(this.#staleEnd, this.#size);
    }
  }

  async #shrink(size: number): Promise<void> {
    this.#staleEnd = Math.max(this.#staleEnd, this.#size);
    await this.#calls.truncate(size);
    this.#size = size;
    if (this.#calls.canStat) {
      const stats = await this.#calls.stat();
      checkTruncated(stats.size, size);
      if (stats.isVoid) {
        this.#staleEnd = 0;
      }
    }
  }

  async #grow(size: number, fill: boolean): Promise<void> {
    const before = this.#size;
    if (fill) {
      await this.#writeZeroes(before, size - before);
    } else {
      await this.#calls.truncate(size);
    }
    this.#isMissing = false;
    if (this.#calls.canStat) {
      const { size: found } = await this.#calls.stat();
      if (found < size) {
        // whose truncate only makes shorter
        await this.#calls.write(size - 1, new Uint8Array(1));
        checkTruncated((await this.#calls.stat()).size, size);
      } else {
        checkTruncated(found, size);
      }
    }
    this.#size = size;
    await this.#clear(before, size);
  }

  /** Zeroes what came back of earlier contents between two offsets that lie within the length now. */
  async #clear(from: number, to: number): Promise<void> {
    const end = Math.min(to, this.#staleEnd);
    for (let at = from; at < end; at += longestPiece) {
      const length = Math.min(longestPiece, end - at);
      if (!IoVector.single(await this.#calls.read(at, length)).isZero()) {
        await this.#writeZeroes(at, length);
      }
    }
  }

  async #writeZeroes(offset: number, length: number): Promise<void> {
    for (const piece of zeroPieces(offset, length)) {
      await this.#calls.write(piece.offset, piece.bytes);
    }
  }
}

function checkTruncated(found: number, expected: number): void {
  if (found !== expected) {
    throw new Error(`the length became ${String(found)} bytes, expected ${String(expected)}`);
  }
}

/** Whether the host says that it has no way to free space here: a hint that can't be followed. */
function isUnable(error: unknown): boolean {
  return error instanceof Error && "code" in error && ["ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(String(error.code));
}
