import { isPromise, type MaybePromise } from "@img/format-core";
import { isZero, type IoVector } from "@img/io-vector";
import { blockLength, KeptBlock } from "./kept-block.ts";
import { RangeSet } from "./range-set.ts";
import type { SpillSpace } from "./spill-space.ts";

/** Most blocks that are spilled at the same time. */
const spillBatch = 16;

/**
 * What has passed of a stream and is still wanted. Bytes that nobody has read yet are kept in memory, and when that is full, spilled, the oldest first; they are
 * never dropped. Bytes that were read stay as long as there is memory: the latest ones of tables and the latest others at least up to a quarter of it
 * each. Blocks of zeroes take no room.
 */
export class KeptBytes {
  readonly #limit: number;
  readonly #spill: SpillSpace;
  readonly #blocks = new Map<number, KeptBlock>();
  /** Blocks of zeroes, which aren't among the others. */
  readonly #zeroes = new RangeSet();
  /** In memory and not read entirely, the oldest first. */
  readonly #unread = new Set<KeptBlock>();
  /** In memory and read entirely, the one that was read last at the end: those with parts of tables. */
  readonly #tables = new Set<KeptBlock>();
  /** The same of the others. */
  readonly #data = new Set<KeptBlock>();
  readonly #spare: Uint8Array[] = [];
  #inMemory = 0;

  /** @param memory - bytes, at least two blocks */
  constructor(memory: number, spill: SpillSpace) {
    this.#limit = Math.floor(memory / blockLength);
    this.#spill = spill;
  }

  /** Bytes of memory that are taken. */
  get memory(): number {
    return this.#inMemory * blockLength;
  }

  /**
   * Keeps bytes that have just passed and lie in one block; {@link makeRoom} was asked before.
   * @param reader - who got them: a read of a table or of something else; `undefined`: nobody
   */
  keep(bytes: Uint8Array, offset: number, reader: "table" | "data" | undefined): void {
    const index = Math.floor(offset / blockLength);
    const start = offset - index * blockLength;
    const block = this.#blocks.get(index) ?? this.#newBlock(index);
    block.bytes?.set(bytes, start);
    block.present.add(start, start + bytes.length);
    block.isTable ||= reader === "table";
    if (reader === undefined) {
      block.unread.add(start, start + bytes.length);
    }
  }

  /** Says that a block has passed as a whole, or that the stream ended in it. */
  complete(index: number): void {
    const block = this.#blocks.get(index);
    if (block === undefined) {
      return;
    }
    block.isComplete = true;
    if (block.unread.isEmpty) {
      this.#settle(block);
    } else if (block.present.covers(0, blockLength) && block.bytes !== undefined && isZero(block.bytes)) {
      this.#zeroes.add(index, index + 1);
      this.#drop(block);
    } else {
      this.#unread.add(block);
    }
  }

  /** Sees to it that there is room for bytes of a block. `false`: there is none. */
  makeRoom(index: number): MaybePromise<boolean> {
    const isThere = this.#blocks.has(index) || this.#inMemory < this.#limit;
    return isThere || this.#evict(this.#limit / 4) || this.#spillOldest();
  }

  /** Where the first byte of a range is that isn't kept; `undefined`: all are. */
  firstMissing(offset: number, length: number): number | undefined {
    for (const { index, start, end } of partsOf(offset, length)) {
      const isThere = this.#zeroes.covers(index, index + 1) || this.#blocks.get(index)?.present.covers(start, end);
      if (isThere !== true) {
        return index * blockLength + start;
      }
    }
    return undefined;
  }

  /**
   * Reads a range of which nothing is missing. What is in memory is there when this returns.
   * @param isTable - it is a table that is read
   */
  read(into: IoVector, offset: number, isTable: boolean): MaybePromise<void> {
    const moves: Promise<void>[] = [];
    for (const { index, start, end } of partsOf(offset, into.length)) {
      const at = index * blockLength + start - offset;
      const move = this.#readPart(into.slice(at, at + end - start), { index, start, end }, isTable);
      if (isPromise(move)) {
        moves.push(move);
      }
    }
    return moves.length === 0 ? undefined : settleAll(moves);
  }

  #readPart(into: IoVector, { index, start, end }: Part, isTable: boolean): MaybePromise<void> {
    const block = this.#blocks.get(index);
    if (block === undefined) {
      into.fill(0);
      return;
    }
    if (block.bytes !== undefined) {
      into.copyFromSlice(block.bytes.subarray(start, end));
      this.#markRead(block, start, end, isTable);
      return;
    }
    return this.#use(block, async () => {
      await this.#spill.read(into, block.slot ?? 0, start);
      this.#markRead(block, start, end, isTable);
    });
  }

  #markRead(block: KeptBlock, start: number, end: number, isTable: boolean): void {
    block.unread.delete(start, end);
    block.isTable ||= isTable;
    if (block.isComplete && block.unread.isEmpty && !block.isDropped) {
      this.#settle(block);
    }
  }

  /** Puts a block that was read entirely where it belongs. */
  #settle(block: KeptBlock): void {
    this.#unread.delete(block);
    if (block.bytes === undefined) {
      this.#drop(block);
      return;
    }
    this.#forgetRead(block);
    (block.isTable ? this.#tables : this.#data).add(block);
  }

  #newBlock(index: number): KeptBlock {
    this.#inMemory++;
    const block = new KeptBlock(index, this.#spare.pop() ?? new Uint8Array(blockLength));
    this.#blocks.set(index, block);
    return block;
  }

  #drop(block: KeptBlock): void {
    this.#blocks.delete(block.index);
    this.#unread.delete(block);
    this.#forgetRead(block);
    block.isDropped = true;
    this.#freeIfUnused(block);
  }

  #freeIfUnused(block: KeptBlock): void {
    if (block.users > 0 || !block.isDropped) {
      return;
    }
    this.#freeMemory(block);
    if (block.slot !== undefined) {
      this.#spill.release(block.slot);
    }
  }

  #freeMemory(block: KeptBlock): void {
    if (block.bytes === undefined) {
      return;
    }
    this.#inMemory--;
    if (this.#spare.length < spillBatch) {
      this.#spare.push(block.bytes);
    }
    block.bytes = undefined;
  }

  /** Does something during which the block's memory and place stay its own. */
  async #use(block: KeptBlock, work: () => Promise<void>): Promise<void> {
    block.users++;
    try {
      await work();
    } finally {
      block.users--;
      this.#freeIfUnused(block);
    }
  }

  #forgetRead(block: KeptBlock): void {
    this.#tables.delete(block);
    this.#data.delete(block);
  }

  /** Drops the block that was read the longest time ago, of the kind that has more than `share` blocks. `false`: none has. */
  #evict(share: number): boolean {
    for (const blocks of [this.#data, this.#tables]) {
      for (const block of blocks.size > share ? blocks : []) {
        if (block.users === 0) {
          this.#drop(block);
          return true;
        }
      }
    }
    return false;
  }

  async #spillOldest(): Promise<boolean> {
    const moves: Promise<void>[] = [];
    for (const block of this.#unread) {
      const slot = moves.length < spillBatch ? this.#spill.reserve() : undefined;
      if (slot === undefined) {
        break;
      }
      moves.push(this.#spillBlock(block, slot));
    }
    await settleAll(moves);
    return this.#inMemory < this.#limit || this.#evict(0);
  }

  async #spillBlock(block: KeptBlock, slot: number): Promise<void> {
    this.#unread.delete(block);
    await this.#use(block, async () => {
      try {
        await this.#spill.write(block.bytes ?? new Uint8Array(blockLength), slot);
      } catch (error) {
        this.#spill.release(slot);
        if (!block.isDropped && !block.unread.isEmpty) {
          this.#unread.add(block);
        }
        throw error;
      }
      block.slot = slot;
      this.#forgetRead(block);
      this.#freeMemory(block);
      if (!block.isDropped && block.unread.isEmpty) {
        this.#drop(block);
      }
    });
  }
}

/** A part of a range that lies in one block: from `start` up to `end` in it. */
interface Part {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

function* partsOf(offset: number, length: number): Generator<Part, void, undefined> {
  const end = offset + length;
  for (let at = offset; at < end;) {
    const index = Math.floor(at / blockLength);
    const base = index * blockLength;
    const stop = Math.min(base + blockLength, end);
    yield { index, start: at - base, end: stop - base };
    at = stop;
  }
}

/** Waits for all, then fails as the first that failed: until then memory is in use. */
async function settleAll(moves: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(moves);
  await Promise.all(moves);
}
