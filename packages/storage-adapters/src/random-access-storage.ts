import {
  alignDown,
  anyLimits,
  checkOffset,
  checkRange,
  ImgError,
  type MaybePromise,
  type Storage,
  type StorageLimits,
  type StoragePreallocation,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { describeRange } from "./describe-range.ts";
import { Durability } from "./durability.ts";
import { RandomAccessCalls, type RandomAccessLike } from "./random-access-calls.ts";
import { RandomAccessBytes } from "./random-access-bytes.ts";
import { StorageCalls } from "./storage-calls.ts";

/** What is said of a `random-access-storage` in any case. */
interface CommonOptions {
  /** For people: appears in messages. Default `"random access"`. */
  readonly label?: string;
  /** Length in bytes, for what can't be asked (`statable` is `false`). */
  readonly size?: number;
  /** Whether closing the storage closes the instance. Default `true`. */
  readonly close?: boolean;
}

/** Options of {@link randomAccessStorage} for reading. */
export interface RandomAccessReadOptions extends CommonOptions {
  readonly writable?: false;
}

/** Options of {@link randomAccessStorage} for reading and writing. */
export interface RandomAccessWriteOptions extends CommonOptions {
  readonly writable: true;
  /**
   * Makes everything durable that was written, for which these interfaces have no call: for a `random-access-file`, `fdatasync` of its `fd`. `"none"`:
   * nothing does, so a power cut may leave an image in any state.
   */
  readonly sync: (() => MaybePromise<void>) | "none";
  /** `true`: what doesn't exist yet (`ENOENT`) counts as empty, and is made by the first change. Default `false`. */
  readonly create?: boolean;
}

/**
 * An instance of `random-access-storage` (`random-access-file`, `-memory`, `-idb`, …) as a storage. It belongs to the storage from then on, unless the
 * options say otherwise; when this fails, it stays the caller's.
 *
 * Nobody else may change its length meanwhile. Without `truncate` there is no `resize`. What was cut off reads as zero when it comes back, also where
 * `truncate` keeps the old bytes (`random-access-memory`); that can't be known of what was cut off before.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for what can't be read or whose length isn't known; `ERR_IMG_READ_ONLY` for what can't be written and should;
 * `ERR_IMG_LOCKED`; the host's errno code (`ENOENT`, …)
 */
export async function randomAccessStorage(
  object: RandomAccessLike,
  options: RandomAccessReadOptions | RandomAccessWriteOptions = {},
): Promise<Storage> {
  const calls = new StorageCalls(options.label ?? "random access", options.writable ?? false);
  checkAbilities(object, calls);
  const foreign = new RandomAccessCalls(object, calls.label);
  const create = options.writable === true && options.create === true;
  const file = await calls.shared(
    () => "open",
    () => RandomAccessBytes.open(foreign, { label: calls.label, size: options.size, create }),
  );
  return new RandomAccessStorage(file, foreign, calls, options);
}

/** @throws ImgError */
function checkAbilities(object: RandomAccessLike, { label, writable }: StorageCalls): void {
  if (object.readable === false) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label} can't be read`, { subject: label });
  }
  // random-access-file says that it is writable also when it opens its file with O_RDONLY
  const opensReadOnly = "mode" in object && object.mode === 0;
  if (writable && (object.writable === false || opensReadOnly)) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${label} can't be written`, { subject: label });
  }
  // random-access-memory that was made from an empty buffer takes it for its first page
  const firstPage: unknown = "buffers" in object && Array.isArray(object.buffers) ? object.buffers[0] : undefined;
  if (writable && ArrayBuffer.isView(firstPage) && firstPage.byteLength === 0) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label} was made from an empty buffer, and loses what is written`, {
      subject: label,
    });
  }
}

class RandomAccessStorage implements Storage {
  /** What frees space does so in blocks. */
  readonly limits: StorageLimits = { ...anyLimits, discard: 4096 };
  readonly discard?: (offset: number, length: number) => Promise<void>;
  readonly resize?: (size: number, preallocation?: StoragePreallocation) => Promise<void>;
  readonly #file: RandomAccessBytes;
  readonly #foreign: RandomAccessCalls;
  readonly #calls: StorageCalls;
  readonly #closes: boolean;
  readonly #makeDurable: () => MaybePromise<void>;
  readonly #durability = new Durability();

  constructor(
    file: RandomAccessBytes,
    foreign: RandomAccessCalls,
    calls: StorageCalls,
    options: RandomAccessReadOptions | RandomAccessWriteOptions,
  ) {
    this.#file = file;
    this.#foreign = foreign;
    this.#calls = calls;
    this.#closes = options.close ?? true;
    const sync = options.writable === true ? options.sync : "none";
    this.#makeDurable = sync === "none" ? () => undefined : sync;
    if (foreign.canDelete) {
      this.discard = (offset, length) => this.#discard(offset, length);
    }
    if (foreign.canTruncate) {
      this.resize = (size, preallocation) => this.#resize(size, preallocation);
    }
  }

  get label(): string {
    return this.#calls.label;
  }

  get writable(): boolean {
    return this.#calls.writable;
  }

  get size(): number {
    return this.#file.size;
  }

  read(into: IoVector, offset: number): Promise<void> {
    this.#calls.checkOpen();
    checkRange(offset, into.length);
    return this.#calls.shared(
      () => describeRange("read", offset, into.length),
      () => this.#file.read(into, offset),
    );
  }

  async write(from: IoVector, offset: number): Promise<void> {
    this.#calls.checkWritable();
    checkRange(offset, from.length);
    const doing = (): string => describeRange("write", offset, from.length);
    const end = offset + from.length;
    const writeInside = async (): Promise<boolean> => {
      // a resize may have been done in between
      const inside = end <= this.size;
      if (inside) {
        await this.#file.write(from, offset);
      }
      return inside;
    };
    // one that grows goes alone: some work out the length before others have changed it, and cut those off
    const inside = from.length === 0 || (end <= this.size && (await this.#calls.shared(doing, writeInside)));
    if (!inside) {
      await this.#calls.alone(doing, () => this.#file.writeGrowing(from, offset));
    }
  }

  /** Nothing to do: the storage has no buffers of its own. */
  async flush(): Promise<void> {
    this.#calls.checkOpen();
  }

  /** What the option `sync` does. Once it has failed, it fails for good. */
  sync(): Promise<void> {
    return this.#calls.shared(
      () => "sync",
      () => this.#durability.run(this.#makeDurable),
    );
  }

  /** Asks for the length again, where it can be asked. */
  invalidate(): Promise<void> {
    return this.#calls.alone(
      () => "ask for the length",
      () => this.#file.measure(),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls.close(() => (this.#closes ? this.#foreign.close() : undefined));
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  async #discard(offset: number, length: number): Promise<void> {
    this.#calls.checkWritable();
    checkRange(offset, length);
    await this.#calls.shared(
      () => describeRange("discard", offset, length),
      () => this.#file.discard(offset, alignDown(offset + length, this.limits.discard), this.limits.discard),
    );
  }

  async #resize(size: number, preallocation: StoragePreallocation = "zero"): Promise<void> {
    this.#calls.checkWritable();
    checkOffset(size, "size");
    await this.#calls.alone(
      () => `resize from ${String(this.size)} to ${String(size)} bytes`,
      () => this.#file.resize(size, preallocation === "allocate" || preallocation === "write"),
    );
  }
}
