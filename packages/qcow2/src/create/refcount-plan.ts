import { alignUp } from "@img/format-core";

/** Bytes of a refcount table entry. */
const entryLength = 8;

/** A part of a new image. */
export interface ImagePart {
  /** Host offset, bytes. */
  readonly offset: number;
  /** How it begins. */
  readonly bytes: Uint8Array;
  /** Bytes; those behind {@link bytes} are zero. */
  readonly length: number;
}

/**
 * Allocates the clusters of an image that nothing is stored in yet, and grows its refcount blocks and its refcount table with them.
 *
 * Where clusters end up is QEMU's choice, so that equal options give equal files: allocation takes the first gap that is long enough; a
 * missing refcount block goes into the cluster behind that gap, after which the search begins anew; a refcount table that is too small is
 * replaced by one half as long again as needed, behind everything that was counted until then, together with blocks that count
 * themselves. The replaced table stays behind as garbage in free clusters.
 */
export class RefcountPlan {
  readonly #clusterSize: number;
  readonly #refcountOrder: number;
  /** Clusters that one block counts. */
  readonly #coverage: number;
  /** Refcounts, 0 or 1; those past the end are 0. */
  #used = new Uint8Array(4096);
  /** Where the search for free clusters goes on. */
  #free = 0;
  /** Cluster of each block; 0: there is none. */
  #table: Uint32Array<ArrayBuffer>;
  /** Entries of the table up to the last block. */
  #blocks = 1;
  #tableCluster = 1;
  readonly #replaced: ImagePart[] = [];

  /** Begins with the header in cluster 0, the refcount table in 1 and its first block in 2. */
  constructor(clusterSize: number, refcountOrder: number) {
    this.#clusterSize = clusterSize;
    this.#refcountOrder = refcountOrder;
    this.#coverage = (clusterSize * 8) / 2 ** refcountOrder;
    this.#table = new Uint32Array(clusterSize / entryLength);
    this.#table[0] = 2;
    this.allocate(3 * clusterSize);
  }

  /** Host offset of the refcount table. */
  get tableOffset(): number {
    return this.#tableCluster * this.#clusterSize;
  }

  /** Length of the refcount table, clusters. */
  get tableClusters(): number {
    return (this.#table.length * entryLength) / this.#clusterSize;
  }

  /**
   * Takes clusters behind each other.
   * @param length - bytes, rounded up to whole clusters
   * @returns host offset of the first
   */
  allocate(length: number): number {
    const count = Math.ceil(length / this.#clusterSize);
    let first: number;
    do {
      first = this.#find(count);
    } while (!this.#take(first, count));
    return first * this.#clusterSize;
  }

  /** The refcount table, its blocks, and what is left of replaced tables, as they have to be written. */
  parts(): readonly ImagePart[] {
    const garbage = this.#replaced.filter(({ offset }) => this.#used[offset / this.#clusterSize] !== 1);
    const table = { offset: this.tableOffset, bytes: this.#serializeTable(), length: this.#table.length * entryLength };
    const parts = [...garbage, table];
    for (let index = 0; index < this.#blocks; index++) {
      const cluster = this.#table[index] ?? 0;
      if (cluster !== 0) {
        const bytes = this.#serializeBlock(index);
        parts.push({ offset: cluster * this.#clusterSize, bytes, length: this.#clusterSize });
      }
    }
    return parts;
  }

  #find(count: number): number {
    for (let found = 0; found < count;) {
      found = this.#used[this.#free++] === 1 ? 0 : found + 1;
    }
    return this.#free - count;
  }

  /** Whether the clusters could be taken; `false`: a block had to be made for them, perhaps in their place. */
  #take(first: number, count: number): boolean {
    for (let cluster = first; cluster < first + count; cluster++) {
      if (!this.#hasBlock(cluster)) {
        this.#makeBlock(cluster);
        this.#used.fill(0, first, cluster);
        this.#free = Math.min(this.#free, first);
        return false;
      }
      this.#use(cluster);
    }
    return true;
  }

  #use(cluster: number): void {
    if (cluster >= this.#used.length) {
      const longer = new Uint8Array(2 * cluster);
      longer.set(this.#used);
      this.#used = longer;
    }
    this.#used[cluster] = 1;
  }

  #hasBlock(cluster: number): boolean {
    return (this.#table[Math.floor(cluster / this.#coverage)] ?? 0) !== 0;
  }

  /** Makes the block that counts `cluster`, or one that has to be there before. */
  #makeBlock(cluster: number): void {
    const index = Math.floor(cluster / this.#coverage);
    const block = this.#find(1);
    if (Math.floor(block / this.#coverage) === index) {
      this.#use(block);
    } else if (!this.#take(block, 1)) {
      return;
    }
    if (index < this.#table.length) {
      this.#table[index] = block;
      this.#blocks = Math.max(this.#blocks, index + 1);
    } else {
      this.#growTable(index, block, Math.ceil(Math.max(cluster + 1, block) / this.#coverage));
    }
  }

  /** Makes a longer table that has `newBlock` at `newIndex`, with the blocks that count it, behind what `blocksUsed` blocks count. */
  #growTable(newIndex: number, newBlock: number, blocksUsed: number): void {
    const start = blocksUsed * this.#coverage;
    const blockCount = this.#blocksFor(start);
    const perCluster = this.#clusterSize / entryLength;
    const table = new Uint32Array(alignUp(blockCount + Math.ceil(blockCount / 2), perCluster));
    table.set(this.#table);
    table[newIndex] = newBlock;
    let next = start;
    for (let index = blocksUsed; index < blockCount; index++) {
      if (table[index] === 0) {
        table[index] = next++;
      }
    }
    const end = next + table.length / perCluster;
    for (let cluster = start; cluster < end; cluster++) {
      this.#use(cluster);
    }
    this.#dropTable();
    this.#table = table;
    this.#blocks = Math.max(blockCount, newIndex + 1);
    this.#tableCluster = next;
  }

  /** Frees the table; its bytes stay in the file. */
  #dropTable(): void {
    const bytes = this.#serializeTable();
    for (let index = 0; index < this.tableClusters; index++) {
      const offset = this.tableOffset + index * this.#clusterSize;
      this.#replaced.push({
        offset,
        bytes: bytes.subarray(index * this.#clusterSize, (index + 1) * this.#clusterSize),
        length: this.#clusterSize,
      });
      this.#used[this.#tableCluster + index] = 0;
    }
    this.#free = Math.min(this.#free, this.#tableCluster);
  }

  /** Blocks that count `clusters` clusters, themselves, their table, and half a table more. */
  #blocksFor(clusters: number): number {
    const perCluster = this.#clusterSize / entryLength;
    let counted = clusters;
    let generous = false;
    let blocks = 0;
    let tableClusters = 0;
    for (let total = 0, last = -1; total !== last;) {
      last = total;
      blocks = Math.ceil((counted + tableClusters + blocks) / this.#coverage);
      tableClusters = Math.ceil(blocks / perCluster);
      total = counted + blocks + tableClusters;
      if (total === last && !generous) {
        generous = true;
        counted += Math.ceil(tableClusters / 2);
        total = 0;
      }
    }
    return blocks;
  }

  /** The table up to its last block. */
  #serializeTable(): Uint8Array {
    const bytes = new Uint8Array(this.#blocks * entryLength);
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < this.#blocks; index++) {
      const cluster = this.#table[index] ?? 0;
      if (cluster !== 0) {
        const offset = cluster * this.#clusterSize;
        view.setUint32(index * entryLength, Math.floor(offset / 0x1_0000_0000));
        view.setUint32(index * entryLength + 4, offset % 0x1_0000_0000);
      }
    }
    return bytes;
  }

  /** A block up to its last refcount that isn't 0. */
  #serializeBlock(index: number): Uint8Array {
    const width = 2 ** this.#refcountOrder;
    const start = index * this.#coverage;
    const used = this.#used.subarray(start, start + this.#coverage);
    const bytes = new Uint8Array(Math.ceil(((used.lastIndexOf(1) + 1) * width) / 8));
    // most aren't used, and a search passes over them faster than a loop
    for (let within = used.indexOf(1); within >= 0; within = used.indexOf(1, within + 1)) {
      // a refcount of 1 sets one bit: the lowest of a big-endian integer, or of a packed group
      const at = width >= 8 ? ((within + 1) * width) / 8 - 1 : Math.floor((within * width) / 8);
      const bit = width >= 8 ? 1 : 1 << ((within * width) % 8);
      bytes[at] = (bytes[at] ?? 0) | bit;
    }
    return bytes;
  }
}
