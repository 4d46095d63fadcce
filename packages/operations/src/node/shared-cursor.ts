import type { ConvertCursor } from "../convert/convert-cursor.ts";

const fields = { position: 0, done: 1, written: 2, stopped: 3 } as const;

/** A cursor that the threads of one conversion share: four 64-bit integers in shared memory. */
export class SharedCursor implements ConvertCursor {
  /** What another thread makes its own view from. */
  readonly memory: SharedArrayBuffer;
  readonly #values: BigInt64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(32)) {
    this.memory = memory;
    this.#values = new BigInt64Array(memory);
  }

  get position(): number {
    return this.#load(fields.position);
  }

  get done(): number {
    return this.#load(fields.done);
  }

  get written(): number {
    return this.#load(fields.written);
  }

  get stopped(): boolean {
    return this.#load(fields.stopped) !== 0;
  }

  /** Nobody takes more from now on. */
  stop(): void {
    Atomics.store(this.#values, fields.stopped, 1n);
  }

  take(from: number, to: number): boolean {
    const expected = BigInt(from);
    return Atomics.compareExchange(this.#values, fields.position, expected, BigInt(to)) === expected;
  }

  finish(length: number, written: number): void {
    Atomics.add(this.#values, fields.done, BigInt(length));
    Atomics.add(this.#values, fields.written, BigInt(written));
  }

  #load(field: number): number {
    return Number(Atomics.load(this.#values, field));
  }
}
