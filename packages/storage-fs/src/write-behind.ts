/**
 * Has the host begin to write to the disk what was written to the file, each time that so much has come together: making all of it durable takes little
 * time then, because the disk was at work meanwhile. It decides nothing about durability: whoever wants that syncs, as always.
 */
export class WriteBehind {
  readonly #limit: number;
  readonly #begin: (offset: number, length: number) => void;
  #bytes = 0;
  #start = Infinity;
  #end = 0;

  /**
   * @param limit - bytes that come together first
   * @param begin - has the host begin with a range; whether it does is its own affair
   */
  constructor(limit: number, begin: (offset: number, length: number) => void) {
    this.#limit = limit;
    this.#begin = begin;
  }

  /** Notes that a range was written, in bytes. */
  wrote(offset: number, length: number): void {
    this.#bytes += length;
    this.#start = Math.min(this.#start, offset);
    this.#end = Math.max(this.#end, offset + length);
    if (this.#bytes >= this.#limit) {
      this.#begin(this.#start, this.#end - this.#start);
      this.#bytes = 0;
      this.#start = Infinity;
      this.#end = 0;
    }
  }
}
