import { IoVector } from "@img/io-vector";
import {
  alignDown,
  alignUp,
  closeStorage,
  flushStorage,
  FormatAccess,
  hostOffset,
  KeyedMutex,
  perform,
  readStorage,
  syncStorage,
  writeStorage,
  zeroStorage,
  type FormatDriver,
  type GuestOffset,
  type HandledRange,
  type Io,
  type Preallocation,
  type PreparedWrite,
  type PrepareWriteOptions,
  type ShallowMapping,
  type Storage,
} from "../../src/index.ts";

/** What a block of the disk is. Absent: not in this image. */
export type Block =
  | { readonly kind: "data"; readonly host: number; readonly shared?: boolean }
  | { readonly kind: "zero" }
  | { readonly kind: "zero"; readonly host: number }
  | { readonly kind: "special"; readonly bytes: Uint8Array };

/** Options of {@link BlockDriver}. */
export interface BlockDriverOptions {
  readonly size: number;
  /** Default 1024. */
  readonly blockSize?: number;
  readonly backing?: FormatAccess | null;
  /** Default `true`. */
  readonly writable?: boolean;
  /** Look-ups always have to wait: nothing is in memory. */
  readonly cold?: boolean;
}

/**
 * The smallest format that has everything: a disk in blocks, each somewhere in a storage, zero, special, or in the backing image. Its tables
 * are in memory only.
 */
export class BlockDriver implements FormatDriver {
  readonly format = "blocks";
  readonly writable: boolean;
  readonly storages: readonly Storage[];
  readonly backing: FormatAccess | null;
  readonly blockSize: number;
  readonly blocks = new Map<number, Block>();
  /** `commit 3`, `abort 3`, `close`, …: what was asked, with the number of the block. */
  readonly log: string[] = [];
  readonly locks = new KeyedMutex<number>("block");
  readonly free: number[] = [];
  size: number;
  readonly #storage: Storage;
  readonly #cold: boolean;
  #end: number;

  constructor(storage: Storage, options: BlockDriverOptions) {
    this.#storage = storage;
    this.storages = [storage];
    this.size = options.size;
    this.blockSize = options.blockSize ?? 1024;
    this.backing = options.backing ?? null;
    this.writable = options.writable ?? true;
    this.#cold = options.cold ?? false;
    this.#end = alignUp(storage.size, this.blockSize);
    if (this.#cold) {
      Object.defineProperty(this, "peekMapping", { value: undefined });
    }
  }

  peekMapping?(offset: GuestOffset, _maxLength: number): ShallowMapping {
    return this.#lookUp(offset);
  }

  *getMapping(offset: GuestOffset, _maxLength: number): Io<ShallowMapping> {
    if (this.#cold) {
      yield* perform({ label: "a table", async: async () => undefined, sync: () => undefined });
    }
    return this.#lookUp(offset);
  }

  *readSpecial(into: IoVector, offset: GuestOffset): Io<void> {
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const within = at % this.blockSize;
      const length = Math.min(this.blockSize - within, into.length - done);
      const block = this.blocks.get((at - within) / this.blockSize);
      if (block?.kind !== "special") throw new Error(`block at ${at} isn't special`);
      into.slice(done, done + length).copyFromSlice(block.bytes.subarray(within, within + length));
      done += length;
    }
  }

  *prepareWrite(offset: GuestOffset, length: number, options: PrepareWriteOptions): Io<PreparedWrite> {
    const within = offset % this.blockSize;
    const index = (offset - within) / this.blockSize;
    const part = Math.min(length, this.blockSize - within);
    yield* this.locks.acquire(index);
    const block = this.blocks.get(index);
    const prepared = (host: number, commit: () => void, abort: () => void): PreparedWrite => ({
      storage: this.#storage,
      offset: hostOffset(host + within),
      length: part,
      commit: () => {
        this.log.push(`commit ${index}`);
        commit();
        this.locks.release(index);
      },
      abort: () => {
        this.log.push(`abort ${index}`);
        abort();
        this.locks.release(index);
      },
    });
    if (block?.kind === "data" && block.shared !== true) {
      return prepared(block.host, nothing, nothing);
    }
    const reserved = block?.kind === "zero" && "host" in block;
    const host = reserved ? block.host : (this.free.pop() ?? this.#append());
    const giveBack = (): void => {
      if (!reserved) this.free.push(host);
    };
    try {
      yield* this.#copy(index, host, options.overwrite ? within : this.blockSize, within + part);
    } catch (error) {
      giveBack();
      this.locks.release(index);
      throw error;
    }
    return prepared(host, () => this.blocks.set(index, { kind: "data", host }), giveBack);
  }

  *ensureZeroMapping(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#change(offset, length, (block) => {
      if (block?.kind === "zero") return block;
      return block?.kind === "data" && block.shared !== true ? { kind: "zero", host: block.host } : { kind: "zero" };
    });
  }

  *discardToZero(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#change(offset, length, (block) => {
      this.#release(block);
      return { kind: "zero" };
    });
  }

  discardToAny(offset: GuestOffset, length: number): Io<HandledRange> {
    return this.discardToZero(offset, length);
  }

  *discardToBacking(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#change(offset, length, (block) => {
      this.#release(block);
      return undefined;
    });
  }

  *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
    this.log.push(`grow ${size} ${preallocation}`);
    this.size = size;
  }

  *resizeShrink(size: number): Io<void> {
    this.log.push(`shrink ${size}`);
    for (const [index, block] of this.blocks) {
      const start = index * this.blockSize;
      if (start >= size) {
        this.#release(block);
        this.blocks.delete(index);
      } else if (start + this.blockSize > size && block.kind === "data") {
        yield* zeroStorage(this.#storage, block.host + size - start, start + this.blockSize - size);
      }
    }
    this.size = size;
  }

  *flush(): Io<void> {
    this.log.push("flush");
    yield* flushStorage(this.#storage);
  }

  *sync(): Io<void> {
    this.log.push("sync");
    yield* syncStorage(this.#storage);
  }

  *invalidateCache(options: { readonly discardDirty: boolean }): Io<void> {
    this.log.push(`invalidate ${options.discardDirty}`);
  }

  *close(): Io<void> {
    this.log.push("close");
    yield* closeStorage(this.#storage);
  }

  toString(): string {
    return `blocks[${this.#storage.label}]`;
  }

  /** Bytes of the host that no block uses and that aren't free either: 0, or something leaked. */
  leaked(): number {
    const used = [...this.blocks.values()].filter((block) => "host" in block).length;
    return this.#end - (used + this.free.length) * this.blockSize;
  }

  #lookUp(offset: GuestOffset): ShallowMapping {
    if (offset >= this.size) {
      return { kind: "eof", length: 0 };
    }
    const within = offset % this.blockSize;
    const length = Math.min(this.blockSize - within, this.size - offset);
    const block = this.blocks.get((offset - within) / this.blockSize);
    switch (block?.kind) {
      case undefined:
        return this.backing === null
          ? { kind: "zero", length, explicit: false }
          : { kind: "indirect", layer: this.backing, offset, length, writable: false };
      case "zero":
        return { kind: "zero", length, explicit: true };
      case "special":
        return { kind: "special", offset, length, compressed: true };
      case "data": {
        const writable = this.writable && block.shared !== true;
        return { kind: "raw", storage: this.#storage, offset: hostOffset(block.host + within), length, writable };
      }
    }
  }

  /** Copies a block to a new place, except for what lies between `start` and `end`. */
  *#copy(index: number, host: number, start: number, end: number): Io<void> {
    const old = new Uint8Array(this.blockSize);
    const inside = Math.min(this.blockSize, this.size - index * this.blockSize);
    if (start > 0 || end < inside) {
      yield* this.#readOld(index, old.subarray(0, inside));
    }
    if (start > 0) {
      yield* writeStorage(this.#storage, IoVector.single(old.subarray(0, start)), host);
    }
    if (start < this.blockSize && end < this.blockSize) {
      yield* writeStorage(this.#storage, IoVector.single(old.subarray(end)), host + end);
    }
  }

  *#readOld(index: number, into: Uint8Array): Io<void> {
    const block = this.blocks.get(index);
    const vector = IoVector.single(into);
    switch (block?.kind) {
      case undefined:
        if (this.backing !== null) yield* this.backing.io.readLeased(vector, index * this.blockSize);
        return;
      case "zero":
        return;
      case "special":
        vector.copyFromSlice(block.bytes.subarray(0, into.length));
        return;
      case "data": {
        yield* readStorage(this.#storage, vector, block.host);
      }
    }
  }

  *#change(
    offset: GuestOffset,
    length: number,
    change: (block: Block | undefined) => Block | undefined,
  ): Io<HandledRange> {
    const start = alignUp(offset, this.blockSize);
    const stop =
      offset + length >= this.size ? alignUp(this.size, this.blockSize) : alignDown(offset + length, this.blockSize);
    for (let at = start; at < stop; at += this.blockSize) {
      const index = at / this.blockSize;
      yield* this.locks.acquire(index);
      try {
        const changed = change(this.blocks.get(index));
        if (changed === undefined) {
          this.blocks.delete(index);
        } else {
          this.blocks.set(index, changed);
        }
      } finally {
        this.locks.release(index);
      }
    }
    return start < stop ? { offset: start as GuestOffset, length: stop - start } : { offset, length: 0 };
  }

  #append(): number {
    const host = this.#end;
    this.#end += this.blockSize;
    return host;
  }

  #release(block: Block | undefined): void {
    if (block !== undefined && "host" in block) {
      this.free.push(block.host);
    }
  }
}

/** An image of blocks. */
export function blockImage(storage: Storage, options: BlockDriverOptions): FormatAccess<BlockDriver> {
  return new FormatAccess(new BlockDriver(storage, options));
}

function nothing(): void {
  // written in place: there is nothing to link
}
