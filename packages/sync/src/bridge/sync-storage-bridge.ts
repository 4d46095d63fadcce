import {
  ImgError,
  type Extent,
  type StorageLimits,
  type StoragePreallocation,
  type SyncStorage,
  type WriteZeroesOptions,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import {
  mirroredMethods,
  type BridgeAnswer,
  type BridgeCall,
  type ModuleFunction,
  type StorageFacts,
} from "./bridge-call.ts";
import { BridgeLink, type BridgeLinkOptions } from "./bridge-link.ts";
import { moduleSpecifier } from "./module-specifier.ts";
import type { ModuleLocation } from "./worker-thread.ts";

/** Options of {@link SyncStorageBridge.open}. */
export interface SyncStorageBridgeOptions extends BridgeLinkOptions {
  /** Name of the export to call. Default `"open"`. */
  readonly export?: string;
  /** What it is called with; anything that can be cloned. Default `undefined`. */
  readonly options?: unknown;
}

let construct: (link: BridgeLink, facts: StorageFacts) => SyncStorageBridge;

/** The bridge to what the worker has opened. It becomes a user of `link`. */
export function adoptStorage(link: BridgeLink, answer: BridgeAnswer): SyncStorageBridge {
  return construct(link, answer.value as StorageFacts);
}

/** Twins of the methods that a storage may lack. */
const twins = {
  writeZeroes: "writeZeroesSync",
  discard: "discardSync",
  extents: "extentsSync",
  allocatedSize: "allocatedSizeSync",
  resize: "resizeSync",
  invalidate: "invalidateSync",
  resolve: undefined,
} as const;

/**
 * Any storage, usable without waiting: it lives in a worker thread, and a call blocks until the worker has answered. Calls with promises work, too, and
 * may be in flight together, also while others block.
 *
 * It can what the storage behind it can, and has its label, size, location and limits (buffers may lie anywhere; requests are as large as aligned memory asks
 * for). Bytes go through shared memory, copied once between it and the caller's buffers. Errors keep class, code, message, subject and cause.
 *
 * When the worker ends by itself, or an answer takes longer than `timeout`, this call and all later ones fail: with `EIO` or `ETIMEDOUT`. What the call was
 * to do may have happened, or not, or in part.
 *
 * A process doesn't live on for its sake, except while calls with promises are in flight.
 */
export class SyncStorageBridge implements SyncStorage {
  static {
    construct = (link, facts) => new SyncStorageBridge(link, facts);
  }

  readonly label: string;
  readonly writable: boolean;
  readonly limits: StorageLimits;
  readonly identity: string | undefined;
  readonly location: string | undefined;
  readonly #link: BridgeLink;
  readonly #id: number;
  readonly #chunk: number;
  #size: number;
  #sequence = 0;
  #closing: Promise<void> | undefined;
  #closed = false;

  /** @param link - released when the storage is closed */
  private constructor(link: BridgeLink, facts: StorageFacts) {
    this.#link = link;
    this.#id = facts.id;
    this.#size = facts.size;
    this.label = facts.label;
    this.writable = facts.writable;
    this.limits = facts.limits;
    this.identity = facts.identity;
    this.location = facts.location;
    this.#chunk = link.slotSize - (link.slotSize % facts.limits.request);
    for (const name of mirroredMethods.filter((each) => !facts.methods.includes(each))) {
      Object.defineProperty(this, name, { value: undefined });
      if (twins[name] !== undefined) {
        Object.defineProperty(this, twins[name], { value: undefined });
      }
    }
  }

  /**
   * Starts a worker, and opens a storage there.
   * @param specifier - the module whose export opens it: a URL. Names of packages are looked up from where this package lies.
   * @throws what the module or its export throws; ImgError `ENOENT`-like codes of the host when there is no such module;
   * `ERR_IMG_LIMIT` when the storage wants larger requests than `bufferSize`; TypeError when there is no such export, or it gives no storage
   */
  static async open(specifier: ModuleLocation, options: SyncStorageBridgeOptions = {}): Promise<SyncStorageBridge> {
    const call = openCall(specifier, options.export, options.options);
    const link = new BridgeLink(options);
    try {
      return adoptStorage(link, await link.call(call, call.specifier));
    } catch (error) {
      await link.release();
      throw error;
    }
  }

  /** {@link open} that blocks. Browsers start no worker meanwhile: there, await the other one. */
  static openSync(specifier: ModuleLocation, options: SyncStorageBridgeOptions = {}): SyncStorageBridge {
    const call = openCall(specifier, options.export, options.options);
    const link = new BridgeLink(options);
    try {
      return adoptStorage(link, link.callSync(call, call.specifier));
    } catch (error) {
      void link.release();
      throw error;
    }
  }

  /** Bytes, as of the newest answer. */
  get size(): number {
    return this.#size;
  }

  async read(into: IoVector, offset: number): Promise<void> {
    for (const { start, length } of this.#parts(into.length)) {
      await this.#link.withSlot(async (slot, bytes) => {
        await this.#ask({ method: "read", storage: this.#id, slot, offset: offset + start, length });
        into.slice(start, start + length).copyFromSlice(bytes.subarray(0, length));
      });
    }
  }

  async write(from: IoVector, offset: number): Promise<void> {
    for (const { start, length } of this.#parts(from.length)) {
      await this.#link.withSlot(async (slot, bytes) => {
        from.slice(start, start + length).copyIntoSlice(bytes.subarray(0, length));
        await this.#ask({ method: "write", storage: this.#id, slot, offset: offset + start, length });
      });
    }
  }

  async writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): Promise<void> {
    await this.#ask({ method: "writeZeroes", storage: this.#id, offset, length, options });
  }

  async discard(offset: number, length: number): Promise<void> {
    await this.#ask({ method: "discard", storage: this.#id, offset, length });
  }

  async extents(offset: number, length: number): Promise<readonly Extent[]> {
    return (await this.#ask({ method: "extents", storage: this.#id, offset, length })) as readonly Extent[];
  }

  async allocatedSize(): Promise<number> {
    return (await this.#ask({ method: "allocatedSize", storage: this.#id })) as number;
  }

  async resize(size: number, preallocation?: StoragePreallocation): Promise<void> {
    await this.#ask({ method: "resize", storage: this.#id, size, preallocation });
  }

  async flush(): Promise<void> {
    await this.#ask({ method: "flush", storage: this.#id });
  }

  async sync(): Promise<void> {
    await this.#ask({ method: "sync", storage: this.#id });
  }

  async invalidate(): Promise<void> {
    await this.#ask({ method: "invalidate", storage: this.#id });
  }

  /** Asks the worker, and blocks meanwhile. */
  resolve(relative: string): string {
    return this.#askSync({ method: "resolve", storage: this.#id, relative }) as string;
  }

  readSync(into: IoVector, offset: number): void {
    const { slot, bytes } = this.#link.syncSlot;
    for (const { start, length } of this.#parts(into.length)) {
      this.#askSync({ method: "read", storage: this.#id, slot, offset: offset + start, length });
      const part = length === into.length ? into : into.slice(start, start + length);
      part.copyFromSlice(bytes.subarray(0, length));
    }
  }

  writeSync(from: IoVector, offset: number): void {
    const { slot, bytes } = this.#link.syncSlot;
    for (const { start, length } of this.#parts(from.length)) {
      const part = length === from.length ? from : from.slice(start, start + length);
      part.copyIntoSlice(bytes.subarray(0, length));
      this.#askSync({ method: "write", storage: this.#id, slot, offset: offset + start, length });
    }
  }

  writeZeroesSync(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.#askSync({ method: "writeZeroes", storage: this.#id, offset, length, options });
  }

  discardSync(offset: number, length: number): void {
    this.#askSync({ method: "discard", storage: this.#id, offset, length });
  }

  extentsSync(offset: number, length: number): readonly Extent[] {
    return this.#askSync({ method: "extents", storage: this.#id, offset, length }) as readonly Extent[];
  }

  allocatedSizeSync(): number {
    return this.#askSync({ method: "allocatedSize", storage: this.#id }) as number;
  }

  resizeSync(size: number, preallocation?: StoragePreallocation): void {
    this.#askSync({ method: "resize", storage: this.#id, size, preallocation });
  }

  flushSync(): void {
    this.#askSync({ method: "flush", storage: this.#id });
  }

  syncSync(): void {
    this.#askSync({ method: "sync", storage: this.#id });
  }

  invalidateSync(): void {
    this.#askSync({ method: "invalidate", storage: this.#id });
  }

  /** Closes the storage, and ends the worker. Rejects if the storage couldn't be closed, or was lost; the worker ends all the same. */
  [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) {
      // who asked first hears of a failure
      return this.#closing?.catch(() => undefined) ?? Promise.resolve();
    }
    this.#closing = this.#close();
    return this.#closing;
  }

  /** Closes like the one with a promise, but blocks until the storage is closed. */
  [Symbol.dispose](): void {
    if (this.#closed) {
      return;
    }
    try {
      this.#askSync({ method: "close", storage: this.#id });
    } finally {
      this.#closed = true;
      void this.#link.release();
    }
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  async #close(): Promise<void> {
    const closed = this.#ask({ method: "close", storage: this.#id });
    this.#closed = true;
    try {
      await closed;
    } finally {
      await this.#link.release();
    }
  }

  /** At least one part, because an empty request may be refused, too. */
  *#parts(length: number): Generator<{ readonly start: number; readonly length: number }, void> {
    let start = 0;
    do {
      const part = Math.min(this.#chunk, length - start);
      yield { start, length: part };
      start += part;
    } while (start < length);
  }

  async #ask(call: BridgeCall): Promise<unknown> {
    this.#checkOpen();
    return this.#take(await this.#link.call(call, this.label));
  }

  #askSync(call: BridgeCall): unknown {
    this.#checkOpen();
    return this.#take(this.#link.callSync(call, this.label));
  }

  #take({ sequence, size, value }: BridgeAnswer): unknown {
    // answers by messages arrive later than those that somebody was blocked for
    if (size !== undefined && sequence > this.#sequence) {
      this.#sequence = sequence;
      this.#size = size;
    }
    return value;
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
  }
}

/** The call that opens a storage. */
function openCall(specifier: ModuleLocation, name: string | undefined, argument: unknown): ModuleFunction {
  return { method: "open", specifier: moduleSpecifier(specifier), name: name ?? "open", argument };
}
