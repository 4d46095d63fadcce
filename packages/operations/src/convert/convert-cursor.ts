/** How far a conversion has been handed out to those who copy its parts: everything before {@link position} is taken. */
export class ConvertCursor {
  #position = 0;
  #done = 0;
  #written = 0;

  /** Bytes from the start of the disk. */
  get position(): number {
    return this.#position;
  }

  /** Bytes dealt with. */
  get done(): number {
    return this.#done;
  }

  /** Bytes of them that were written as data. */
  get written(): number {
    return this.#written;
  }

  /** Takes `[from, to)`, unless somebody was faster and {@link position} isn't `from` any more. */
  take(from: number, to: number): boolean {
    if (this.#position !== from) {
      return false;
    }
    this.#position = to;
    return true;
  }

  /** Says that bytes that were taken are dealt with. */
  finish(length: number, written: number): void {
    this.#done += length;
    this.#written += written;
  }
}
