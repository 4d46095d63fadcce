/** Bytes of a block: not a whole number of file system blocks or clusters, so that neighbours share them. */
export const blockLength: number = 1536;

/**
 * What a disk may hold on which every block is filled with one number over and over, after its server has been killed: what was acknowledged before a flush
 * that was acknowledged, or anything that was sent since.
 */
export class StampedDisk {
  /** Flushes that were acknowledged. */
  flushCount: number = 0;
  /** For each block what was sent, oldest first, from what is durable on. */
  readonly #sent: number[][];
  /** For each block how much of what was sent is forgotten. */
  readonly #forgotten: number[];
  /** For each block how much had been sent before what was acknowledged last. */
  readonly #acknowledged: number[];

  /** An empty disk. */
  constructor(blockCount: number) {
    this.#sent = Array.from({ length: blockCount }, () => [0]);
    this.#forgotten = this.#sent.map(() => 0);
    this.#acknowledged = this.#sent.map(() => 0);
  }

  /** Blocks are about to be filled with `stamp`; nothing else may be under way to them. @returns what to do when that is acknowledged */
  send(first: number, count: number, stamp: number): () => void {
    const blocks = Array.from({ length: count }, (_, index) => first + index);
    for (const block of blocks) {
      this.#sent[block]?.push(stamp);
    }
    return () => {
      for (const block of blocks) {
        this.#acknowledged[block] = (this.#forgotten[block] ?? 0) + (this.#sent[block]?.length ?? 0) - 1;
      }
    };
  }

  /** A flush is about to be sent. @returns what to do when it is acknowledged */
  flush(): () => void {
    const durable = [...this.#acknowledged];
    return () => {
      this.flushCount++;
      for (const [block, index] of durable.entries()) {
        // another flush, sent later, may have said more already
        const forget = Math.max(0, index - (this.#forgotten[block] ?? 0));
        this.#sent[block]?.splice(0, forget);
        this.#forgotten[block] = (this.#forgotten[block] ?? 0) + forget;
      }
    };
  }

  /** Blocks that aren't what they may be. @param exactly - only what was acknowledged last is right */
  wrongBlocks(contents: Buffer, exactly = false): number[] {
    const wrong: number[] = [];
    for (const [block, sent] of this.#sent.entries()) {
      const last = (this.#acknowledged[block] ?? 0) - (this.#forgotten[block] ?? 0);
      const right = exactly ? sent.slice(last, last + 1) : sent;
      for (let at = block * blockLength; at < (block + 1) * blockLength; at += 4) {
        if (!right.includes(contents.readUInt32LE(at))) {
          wrong.push(block);
          break;
        }
      }
    }
    return wrong;
  }
}
