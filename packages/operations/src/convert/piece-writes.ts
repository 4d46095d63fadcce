import { TaskGroup, WaitQueue, type FormatAccess, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { Turnstile } from "./turnstile.ts";

/** Writes of one piece that are in flight at once. */
const mostAtOnce = 8;

/**
 * What one piece of a conversion writes. Each write is only begun here, so that the next one, and the next piece, can be read meanwhile; all get their places in
 * the order in which they are begun, piece by piece, however long each takes: the same conversion gives the same image.
 */
export class PieceWrites {
  readonly #target: FormatAccess;
  readonly #order: Turnstile | undefined;
  readonly #number: number;
  readonly #writes = new TaskGroup(mostAtOnce);
  /** Where the write goes that was begun and has no place yet. */
  #unplaced: number | undefined;
  #queue: WaitQueue | undefined;

  /**
   * @param order - the piece's turn comes by it; `undefined`: everything has its place, whoever comes first
   */
  constructor(target: FormatAccess, order: Turnstile | undefined) {
    this.#target = target;
    this.#order = order;
    this.#number = order?.draw() ?? 0;
  }

  /** Waits until this piece may change the target. */
  *enter(): Io<void> {
    if (this.#order !== undefined) {
      yield* this.#order.enter(this.#number);
    }
  }

  /** Begins to write `buffer`, which isn't touched until {@link end}. */
  *write(buffer: Uint8Array, offset: number): Io<void> {
    yield* this.enter();
    const from = IoVector.single(buffer);
    if (this.#order === undefined) {
      yield* this.#writes.start(this.#target.io.write(from, offset));
      return;
    }
    this.#unplaced = offset;
    yield* this.#writes.start(this.#place(from, offset));
    yield* this.#untilPlaced();
  }

  *#place(from: IoVector, offset: number): Io<void> {
    const placed = (): void => {
      if (this.#unplaced === offset) {
        this.#unplaced = undefined;
        this.#queue?.wakeAll();
      }
    };
    try {
      yield* this.#target.io.write(from, offset, placed);
    } finally {
      // what failed needs no place any more
      placed();
    }
  }

  *#untilPlaced(): Io<void> {
    while (this.#unplaced !== undefined) {
      this.#queue ??= new WaitQueue("the place of a write");
      yield* this.#queue.wait();
    }
  }

  /** Lets the next piece begin, and waits for what was begun. Always to be called. @throws the first failure */
  *end(): Io<void> {
    this.#order?.leave(this.#number);
    yield* this.#writes.join();
  }
}
