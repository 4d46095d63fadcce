/**
 * Which host blocks are free. One that was unlinked may be taken again only when no power cut can bring its old link back: after the map
 * without the link was written and synced.
 */
export class HostBlocks {
  #next: number;
  readonly #free: number[];
  #unlinked: number[] = [];
  #written: number[] = [];

  /** @param used - the blocks that the map refers to */
  constructor(used: ReadonlySet<number>) {
    this.#next = Math.max(-1, ...used) + 1;
    this.#free = Array.from({ length: this.#next }, (_, index) => index).filter((index) => !used.has(index));
  }

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  /** Gives back a block that was taken and never linked. */
  putBack(host: number): void {
    this.#free.push(host);
  }

  /** A block's link is gone from the map in memory. */
  unlink(host: number): void {
    this.#unlinked.push(host);
  }

  /** Call when the map is copied to be written; call the answer when that is done. */
  beginWrite(): () => void {
    const unlinked = this.#unlinked;
    this.#unlinked = [];
    return () => {
      this.#written.push(...unlinked);
    };
  }

  /** Call when a sync begins; call the answer when it is done. */
  beginSync(): () => void {
    const written = this.#written;
    this.#written = [];
    return () => {
      this.#free.push(...written);
    };
  }
}
