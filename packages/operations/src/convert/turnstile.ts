import { WaitQueue, type Io } from "@img/format-core";

/** Lets those who drew a number through one after the other, in the order of the numbers. */
export class Turnstile {
  readonly #queue = new WaitQueue("an earlier part of a conversion");
  readonly #gone = new Set<number>();
  #drawn = 0;
  #turn = 0;

  /** The next number. Whoever draws one has to {@link leave}. */
  draw(): number {
    return this.#drawn++;
  }

  /** Waits until all with smaller numbers have left. */
  *enter(number: number): Io<void> {
    while (this.#turn !== number) {
      yield* this.#queue.wait();
    }
  }

  /** Says that the holder of a number is done, whether it entered or not. Saying it again does nothing. */
  leave(number: number): void {
    if (number < this.#turn) {
      return;
    }
    this.#gone.add(number);
    while (this.#gone.delete(this.#turn)) {
      this.#turn++;
    }
    this.#queue.wakeAll();
  }
}
