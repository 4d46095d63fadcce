import type { IoVector } from "@img/io-vector";

/** A read, or the rest of one, whose bytes haven't come yet. */
export class WaitingRead {
  /** Where the read began; some of it may have been there already. */
  readonly origin: number;
  /** Where the rest begins. */
  readonly start: number;
  readonly end: number;
  /** Whether it is taken for the read of a table. */
  readonly isSmall: boolean;
  readonly #into: IoVector;
  /** Settled when the read is done or has failed. */
  readonly done: Promise<void>;
  readonly finish: () => void;
  readonly fail: (error: unknown) => void;

  constructor(into: IoVector, place: Pick<WaitingRead, "origin" | "start" | "isSmall">) {
    this.#into = into;
    this.origin = place.origin;
    this.start = place.start;
    this.end = place.start + into.length;
    this.isSmall = place.isSmall;
    let [finish, fail] = [(): void => undefined, (_error: unknown): void => undefined];
    this.done = new Promise((resolve, reject) => {
      [finish, fail] = [resolve, reject];
    });
    this.finish = finish;
    this.fail = fail;
  }

  /** Whether it wants the byte at `offset`. */
  wants(offset: number): boolean {
    return this.start <= offset && offset < this.end;
  }

  /** Takes bytes from `offset` on, all of which are wanted; all before them have been taken. Done with the last one. */
  take(bytes: Uint8Array, offset: number): void {
    const at = offset - this.start;
    this.#into.slice(at, at + bytes.length).copyFromSlice(bytes);
    if (at + bytes.length === this.#into.length) {
      this.finish();
    }
  }

  /** Says that there is nothing from `offset` on: the rest reads as zero. */
  endAt(offset: number): void {
    this.#into.fill(0, offset - this.start);
    this.finish();
  }
}
