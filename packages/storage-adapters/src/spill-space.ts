import {
  closeStorage,
  readStorage,
  runAsync,
  writeStorage,
  type Io,
  type MaybePromise,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { blockLength } from "./kept-block.ts";

/** Room for blocks in a storage that is made when the first one comes. */
export class SpillSpace {
  readonly #open: (() => MaybePromise<Storage>) | undefined;
  readonly #slotCount: number;
  readonly #released: number[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #storage: Promise<Storage> | undefined;
  #used = 0;

  /**
   * @param open - gives the storage; absent: there is no room
   * @param limit - how much of it may be used, bytes
   */
  constructor(open: (() => MaybePromise<Storage>) | undefined, limit: number) {
    this.#open = open;
    this.#slotCount = open === undefined ? 0 : Math.floor(limit / blockLength);
  }

  /** Bytes that are taken. */
  get length(): number {
    return (this.#used - this.#released.length) * blockLength;
  }

  /** Most bytes that were ever taken. */
  get peak(): number {
    // places are given out again before new ones are
    return this.#used * blockLength;
  }

  /** A place for one block; `undefined`: none is left. */
  reserve(): number | undefined {
    return this.#released.pop() ?? (this.#used < this.#slotCount ? this.#used++ : undefined);
  }

  /** Gives a place back. */
  release(slot: number): void {
    this.#released.push(slot);
  }

  /** Stores a block. */
  write(bytes: Uint8Array, slot: number): Promise<void> {
    return this.#tracked((storage) => writeStorage(storage, IoVector.single(bytes), slot * blockLength));
  }

  /** Fills `into` with bytes of the block in `slot`, from `offset` in it on. */
  read(into: IoVector, slot: number, offset: number): Promise<void> {
    return this.#tracked((storage) => readStorage(storage, into, slot * blockLength + offset));
  }

  /** Closes the storage, if it was made, when nothing is in flight any more. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    if (this.#storage !== undefined) {
      await runAsync(closeStorage(await this.#storage));
    }
  }

  async #tracked(call: (storage: Storage) => Io<void>): Promise<void> {
    const done = this.#opened().then((storage) => runAsync(call(storage)));
    this.#inFlight.add(done);
    try {
      await done;
    } finally {
      this.#inFlight.delete(done);
    }
  }

  async #opened(): Promise<Storage> {
    const open = this.#open;
    if (open === undefined) {
      throw new Error("there is nothing to spill to");
    }
    this.#storage ??= (async () => open())();
    try {
      return await this.#storage;
    } catch (error) {
      // the next one may have more luck
      this.#storage = undefined;
      throw error;
    }
  }
}
