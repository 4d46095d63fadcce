/** The shared memory that carries bytes, in slots: each belongs to one call at a time. */
export class Slots {
  readonly memory: SharedArrayBuffer;
  /** Bytes of each slot. */
  readonly size: number;

  /** @param memory - of {@link allocate}, with the same `size` */
  constructor(memory: SharedArrayBuffer, size: number) {
    this.memory = memory;
    this.size = size;
  }

  /** New memory; of what is never used, most systems take none. */
  static allocate(count: number, size: number): Slots {
    return new Slots(new SharedArrayBuffer(count * size), size);
  }

  get count(): number {
    return this.memory.byteLength / this.size;
  }

  /** The first `length` bytes of a slot. */
  view(slot: number, length: number): Uint8Array {
    return new Uint8Array(this.memory, slot * this.size, length);
  }
}
