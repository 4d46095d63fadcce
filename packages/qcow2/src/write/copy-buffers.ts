/** Memory that is kept for later, bytes. */
const greatestKept = 2 * 1024 * 1024;

/** Memory for old contents of clusters, used again and again: new memory costs more than reading into it does. */
export class CopyBuffers {
  readonly #length: number;
  readonly #most: number;
  readonly #unused: Uint8Array[] = [];

  /** @param length - bytes: as much as anybody needs at once */
  constructor(length: number) {
    this.#length = length;
    this.#most = Math.max(1, Math.floor(greatestKept / length));
  }

  /** Memory with anything in it. */
  take(): Uint8Array {
    return this.#unused.pop() ?? new Uint8Array(this.#length);
  }

  /** Takes memory back that nobody looks at any more. */
  giveBack(buffer: Uint8Array): void {
    if (this.#unused.length < this.#most) {
      this.#unused.push(buffer);
    }
  }
}
