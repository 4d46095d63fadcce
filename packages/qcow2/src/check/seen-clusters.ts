const pageBits = 15;
const pageLength = 2 ** pageBits;

/** A set of clusters of the file, many of them: a bit each where there are members. */
export class SeenClusters {
  readonly #pages = new Map<number, Uint8Array>();

  add(cluster: number): void {
    const index = Math.floor(cluster / pageLength);
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(pageLength / 8);
      this.#pages.set(index, page);
    }
    const bit = cluster % pageLength;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) | (1 << (bit & 7));
  }

  has(cluster: number): boolean {
    const page = this.#pages.get(Math.floor(cluster / pageLength));
    const bit = cluster % pageLength;
    return page !== undefined && (((page[bit >>> 3] ?? 0) >>> (bit & 7)) & 1) === 1;
  }
}
