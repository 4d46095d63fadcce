import { perform, type Io } from "../io/io.ts";
import type { StorageLimits } from "../storage/storage.ts";
import { AlignedBuffer } from "./aligned-buffer.ts";

/** Most bytes that one bounced request moves; longer ones go in several. */
export const bounceLength: number = 1024 * 1024;

/** Lengths of buffers for short requests, ascending; all others take {@link bounceLength} and room to align both ends. */
const shortLengths = [4096, 16_384, 65_536, 262_144];

/** Bytes in use at once, of all buffers of a storage; who would exceed it waits. */
const mostInUse = 32 * 1024 * 1024;

/** Bytes of one length that are kept for later use, and most of the longest buffers. */
const bytesKept = 1024 * 1024;
const longestKept = 4;

/**
 * Buffers through which requests go that a storage can't take as they are. However many are in flight, they take a bounded amount of memory: whoever has one
 * waits for nothing but the storage, so whoever waits for one gets it.
 */
export class BounceBuffers {
  readonly #isAligned: boolean;
  readonly #longest: number;
  readonly #free = new Map<number, Uint8Array[]>();
  readonly #waiting: { readonly length: number; readonly admit: () => void }[] = [];
  #inUse = 0;

  constructor({ request, memory }: StorageLimits) {
    // what every allocation has needs no pages
    this.#isAligned = memory > 8;
    this.#longest = bounceLength + 2 * Math.max(request, memory);
  }

  /** A buffer of at least `length` bytes, at most {@link bounceLength} and room to align both ends, if nobody has to be waited for. */
  tryTake(length: number): Uint8Array | undefined {
    const taken = this.#lengthFor(length);
    if (this.#waiting.length > 0 || !this.#hasRoom(taken)) {
      return undefined;
    }
    this.#inUse += taken;
    return this.#get(taken);
  }

  /** {@link tryTake} that waits. Pair it with {@link giveBack} in a `finally`. */
  *take(length: number): Io<Uint8Array> {
    const taken = this.#lengthFor(length);
    yield* perform({
      label: "buffers",
      async: () =>
        new Promise<void>((resolve) => {
          this.#waiting.push({ length: taken, admit: resolve });
          this.#admit();
        }),
      // nobody gives any back while a plain call waits, and there is only one at a time
      sync: () => {
        this.#inUse += taken;
      },
    });
    return this.#get(taken);
  }

  giveBack(buffer: Uint8Array): void {
    const { length } = buffer;
    this.#inUse -= length;
    const free = this.#freeOf(length);
    if (free.length < Math.max(longestKept, bytesKept / length)) {
      free.push(buffer);
    }
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#hasRoom(next.length); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#inUse += next.length;
      next.admit();
    }
  }

  #hasRoom(length: number): boolean {
    return this.#inUse === 0 || this.#inUse + length <= mostInUse;
  }

  #lengthFor(length: number): number {
    return shortLengths.find((each) => each >= length) ?? this.#longest;
  }

  #get(length: number): Uint8Array {
    const free = this.#freeOf(length);
    return free.pop() ?? (this.#isAligned ? this.#cut(length, free) : new Uint8Array(length));
  }

  /** Aligned memory comes in pages, of which a process can have few: short buffers are parts of one. */
  #cut(length: number, free: Uint8Array[]): Uint8Array {
    if (length === this.#longest) {
      return AlignedBuffer.allocate(length);
    }
    const memory = AlignedBuffer.allocate(bytesKept);
    for (let start = length; start < bytesKept; start += length) {
      free.push(memory.subarray(start, start + length));
    }
    return memory.subarray(0, length);
  }

  #freeOf(length: number): Uint8Array[] {
    let free = this.#free.get(length);
    if (free === undefined) {
      free = [];
      this.#free.set(length, free);
    }
    return free;
  }
}
