import { AlignedBuffer } from "@img/format-core";

/** Aligned memory for reuse: making it takes hundreds of microseconds, and a suite needs thousands of buffers. */
export class AlignedPool {
  readonly #free: AlignedBuffer[] = [];

  /** At least `length` bytes, with any contents. */
  take(length: number): AlignedBuffer {
    const index = this.#free.findIndex((each) => each.length >= length);
    const [found] = index < 0 ? [] : this.#free.splice(index, 1);
    return found ?? AlignedBuffer.allocate(Math.ceil(length / 1024 ** 2) * 1024 ** 2);
  }

  /** Takes back what {@link take} gave. */
  giveBack(buffer: AlignedBuffer): void {
    this.#free.push(buffer);
  }
}
