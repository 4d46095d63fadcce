import { extensionBytes, text, type RawExtension } from "./extension-bytes.ts";
import { putHeader, soundFields, type HeaderFields } from "./header-fields.ts";
import { snapshotBytes, snapshotExtra } from "./snapshot-bytes.ts";

/** What kind of image an {@link ImageBuilder} makes. */
export interface ImageKind {
  /** Default 3. */
  readonly version?: 2 | 3;
  /** Default 9, or 14 with extended L2 entries: the smallest. */
  readonly clusterBits?: number;
  /** Size of the disk, bytes. */
  readonly size: number;
  readonly extendedL2?: boolean;
  /** Default 4. */
  readonly refcountOrder?: number;
  readonly externalDataFile?: boolean;
  readonly zstd?: boolean;
}

/** What is said of a snapshot when it is taken. */
export interface TakenSnapshot {
  readonly id: string;
  readonly name: string;
  /** Default: the disk's. */
  readonly diskSize?: number;
}

const copied = 1n << 63n;
const compressedFlag = 1n << 62n;

/**
 * Makes images by hand, in memory: only what the specification says, nothing of the code that is tested. Clusters are laid out as
 * qemu-img does it: header, refcount table, L1 table, then everything else in the order in which it comes.
 */
export class ImageBuilder {
  readonly clusterSize: number;
  readonly clusterBits: number;
  /** Host offset of the L1 table. */
  readonly l1Offset: number;
  readonly l1Size: number;
  /** What the external data file holds. */
  readonly dataFile: Uint8Array<ArrayBuffer>;
  /** Header fields that are to differ from what they should be. */
  fields: Partial<HeaderFields> = {};
  extensions: RawExtension[] = [];
  backingName: string | Uint8Array | undefined;
  readonly #kind: Required<ImageKind>;
  readonly #entryLength: number;
  readonly #snapshots: Uint8Array[] = [];
  /** Longer than the image, so that it needn't be copied each time that it grows. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(65536);
  #length = 0;
  #refcounts: number[] = [];
  /** Where the next compressed cluster may begin; 0: in a new cluster. */
  #pack = 0;

  constructor(kind: ImageKind) {
    const { extendedL2 = false } = kind;
    this.clusterBits = kind.clusterBits ?? (extendedL2 ? 14 : 9);
    this.clusterSize = 2 ** this.clusterBits;
    this.#kind = {
      version: 3,
      refcountOrder: 4,
      externalDataFile: false,
      zstd: false,
      ...kind,
      extendedL2,
      clusterBits: this.clusterBits,
    };
    this.#entryLength = extendedL2 ? 16 : 8;
    this.allocate(2 * this.clusterSize);
    this.l1Size = Math.ceil(kind.size / this.coverage);
    this.l1Offset = this.allocate(Math.max(this.l1Size * 8, 1));
    this.dataFile = new Uint8Array(this.#kind.externalDataFile ? kind.size : 0);
  }

  /** Bytes of disk that one L2 table maps. */
  get coverage(): number {
    return (this.clusterSize / this.#entryLength) * this.clusterSize;
  }

  /** Bytes that the image has so far. */
  get length(): number {
    return this.#length;
  }

  /** Takes whole clusters at the image's end, with refcount 1. @returns their host offset */
  allocate(length: number): number {
    const offset = this.#length;
    const clusters = Math.ceil(length / this.clusterSize);
    this.#length += clusters * this.clusterSize;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    for (let index = 0; index < clusters; index++) {
      this.#refcounts.push(1);
    }
    return offset;
  }

  /** Writes into the image. */
  poke(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
  }

  /** Writes a 64-bit integer into the image. */
  poke64(offset: number, value: bigint | number): void {
    this.#view().setBigUint64(offset, BigInt(value));
  }

  /** Reads a 64-bit integer from the image. */
  peek64(offset: number): bigint {
    return this.#view().getBigUint64(offset);
  }

  /** Host offset of the L2 entry for a guest offset; its table is made if there is none. */
  entryOffset(guest: number): number {
    const slot = this.l1Offset + Math.floor(guest / this.coverage) * 8;
    const entry = this.peek64(slot);
    const own = (entry & copied) !== 0n;
    let table = Number(entry & 0x00ff_ffff_ffff_fe00n);
    if (!own) {
      const old = table;
      table = this.allocate(this.clusterSize);
      if (old !== 0) {
        this.#bytes.copyWithin(table, old, old + this.clusterSize);
        this.#release(old);
      }
      this.poke64(slot, BigInt(table) | copied);
    }
    return table + Math.floor((guest % this.coverage) / this.clusterSize) * this.#entryLength;
  }

  /** Sets an L2 entry to anything. `bitmap`: the second half of an extended one. */
  entry(guest: number, value: bigint, bitmap = 0n): void {
    const at = this.entryOffset(guest);
    this.#forget(at);
    this.poke64(at, value);
    if (this.#kind.extendedL2) {
      this.poke64(at + 8, bitmap);
    }
  }

  /** Maps a guest cluster to data. @returns the host offset */
  data(guest: number, bytes: Uint8Array): number {
    const host = this.#place(guest);
    this.#putData(guest, host, bytes);
    this.entry(guest, BigInt(host) | copied, 0xffff_ffffn);
    return host;
  }

  /** Makes a guest cluster read as zero; with `keep`, a host cluster full of other bytes stays with it. @returns its host offset */
  zero(guest: number, keep = false): number {
    const host = keep ? this.#place(guest) : 0;
    if (keep) {
      this.#putData(guest, host, new Uint8Array(this.clusterSize).fill(0xee));
    }
    const place = keep ? BigInt(host) | copied : 0n;
    this.entry(guest, this.#kind.extendedL2 ? place : place | 1n, 0xffff_ffff_0000_0000n);
    return host;
  }

  /** Maps the subclusters of a guest cluster by two masks of 32 bits; bytes that aren't allocated are garbage. @returns the host offset */
  subclusters(guest: number, zeroes: number, allocated: number, bytes?: Uint8Array): number {
    const host = bytes === undefined ? 0 : this.#place(guest);
    if (bytes !== undefined) {
      this.#putData(guest, host, bytes);
    }
    this.entry(guest, bytes === undefined ? 0n : BigInt(host) | copied, (BigInt(zeroes) << 32n) | BigInt(allocated));
    return host;
  }

  /** Stores what a codec made of a guest cluster right behind the last compressed one. @returns the host offset */
  compressed(guest: number, packed: Uint8Array): number {
    const left = (this.clusterSize - (this.#pack % this.clusterSize)) % this.clusterSize;
    if (left < packed.length && (left === 0 || this.#pack + left !== this.length)) {
      this.#pack = this.allocate(packed.length);
    } else if (left < packed.length) {
      this.allocate(packed.length - left);
    }
    const offset = this.#pack;
    this.poke(offset, packed);
    this.#pack = offset + packed.length;
    this.entry(guest, this.descriptor(offset, packed.length));
    const first = Math.floor(offset / this.clusterSize);
    const last = Math.floor((offset + packed.length - 1) / this.clusterSize);
    for (let cluster = first; cluster <= last; cluster++) {
      // a cluster that was just taken has the refcount for its first user
      this.#refcounts[cluster]! += cluster === first && offset % this.clusterSize !== 0 ? 1 : 0;
    }
    return offset;
  }

  /** The L2 entry of a compressed cluster of so many bytes. */
  descriptor(offset: number | bigint, length: number): bigint {
    const start = BigInt(offset);
    const sectors = (start + BigInt(length) - 1n) / 512n - start / 512n;
    return compressedFlag | (sectors << BigInt(62 - (this.clusterBits - 8))) | start;
  }

  /** Keeps the disk as it is now as an internal snapshot. @returns host offset of its L1 table */
  snapshot(taken: TakenSnapshot): number {
    const length = this.l1Size * 8;
    for (let index = 0; index < this.l1Size; index++) {
      this.#share(this.l1Offset + index * 8);
    }
    const l1TableOffset = this.allocate(length);
    this.#bytes.copyWithin(l1TableOffset, this.l1Offset, this.l1Offset + length);
    const extra = snapshotExtra(0, taken.diskSize ?? this.#kind.size);
    this.#snapshots.push(snapshotBytes({ ...taken, l1TableOffset, l1Size: this.l1Size, extra }));
    return l1TableOffset;
  }

  /** Adds an entry of any content to the snapshot table. */
  rawSnapshot(entry: Uint8Array): void {
    this.#snapshots.push(entry);
  }

  /** The image, complete. The builder can go on. */
  build(): Uint8Array<ArrayBuffer> {
    const saved = { bytes: this.#bytes.slice(), length: this.#length, refcounts: [...this.#refcounts] };
    const snapshotsOffset = this.#putSnapshots();
    this.#putRefcounts();
    this.#putHeader(snapshotsOffset);
    const built = this.#bytes.slice(0, this.#length);
    this.#bytes = saved.bytes;
    this.#length = saved.length;
    this.#refcounts = saved.refcounts;
    return built;
  }

  #putSnapshots(): number {
    const table = Uint8Array.from(Buffer.concat(this.#snapshots));
    const offset = table.length === 0 ? 0 : this.allocate(table.length);
    this.poke(offset, table);
    return offset;
  }

  #putHeader(snapshotsOffset: number): void {
    const { version, size, externalDataFile, zstd, extendedL2, refcountOrder } = this.#kind;
    const headerLength = version === 2 ? 72 : (this.fields.headerLength ?? 112);
    const extensions = extensionBytes(...this.extensions);
    this.poke(headerLength, extensions);
    // the end marker is zero, as everything is that nobody wrote
    const backingFileOffset = headerLength + extensions.length + 8;
    const name = typeof this.backingName === "string" ? text(this.backingName) : this.backingName;
    if (name !== undefined) {
      this.poke(backingFileOffset, name);
    }
    putHeader(this.#bytes, {
      ...soundFields,
      version,
      clusterBits: this.clusterBits,
      size,
      l1Size: this.l1Size,
      l1TableOffset: this.l1Offset,
      refcountTableOffset: this.clusterSize,
      refcountOrder,
      headerLength,
      snapshotCount: this.#snapshots.length,
      snapshotsOffset,
      incompatibleFeatures: (externalDataFile ? 4 : 0) | (zstd ? 8 : 0) | (extendedL2 ? 16 : 0),
      compressionType: zstd ? 1 : 0,
      backingFileOffset: name === undefined ? 0 : backingFileOffset,
      backingFileSize: name?.length ?? 0,
      ...this.fields,
    });
  }

  /** Makes refcount blocks at the end, which count themselves too. */
  #putRefcounts(): void {
    const width = 2 ** this.#kind.refcountOrder;
    const perBlock = (this.clusterSize * 8) / width;
    const blocks: number[] = [];
    while (blocks.length * perBlock < this.#refcounts.length) {
      blocks.push(this.allocate(this.clusterSize));
    }
    blocks.forEach((block, index) => {
      this.poke64(this.clusterSize + index * 8, block);
      for (let within = 0; within < perBlock; within++) {
        const count = this.#refcounts[index * perBlock + within] ?? 0;
        this.#putRefcount(block, within, width, count);
      }
    });
  }

  #putRefcount(block: number, index: number, width: number, count: number): void {
    if (width < 8) {
      const bit = index * width;
      this.#bytes[block + Math.floor(bit / 8)]! |= count << (bit % 8);
    } else {
      this.#bytes.set(
        [count >> 8, count & 0xff].slice(width === 8 ? 1 : 0),
        block + ((index + 1) * width) / 8 - Math.min(width / 8, 2),
      );
    }
  }

  /** Takes back what the L2 entry at a host offset referred to. */
  #forget(at: number): void {
    const entry = this.peek64(at);
    const host = Number(entry & 0x00ff_ffff_ffff_fe00n);
    if ((entry & compressedFlag) === 0n && host !== 0 && !this.#kind.externalDataFile) {
      this.#release(host);
    }
  }

  #release(host: number): void {
    const cluster = host / this.clusterSize;
    if (this.#refcounts[cluster] !== undefined) {
      this.#refcounts[cluster]--;
    }
  }

  /** Counts everything below an L1 entry once more, and takes the COPIED flags away. */
  #share(slot: number): void {
    const table = Number(this.peek64(slot) & ~copied);
    if (table === 0) {
      return;
    }
    this.#refcounts[table / this.clusterSize]!++;
    this.poke64(slot, table);
    for (let at = table; at < table + this.clusterSize; at += this.#entryLength) {
      const entry = this.peek64(at);
      this.poke64(at, entry & ~copied);
      if ((entry & compressedFlag) !== 0n) {
        throw new Error("snapshots of compressed clusters are not what this builder can");
      }
      const host = Number(entry & 0x00ff_ffff_ffff_fe00n);
      if (host !== 0) {
        this.#refcounts[host / this.clusterSize]!++;
      }
    }
  }

  #place(guest: number): number {
    return this.#kind.externalDataFile ? guest : this.allocate(this.clusterSize);
  }

  #putData(guest: number, host: number, bytes: Uint8Array): void {
    if (this.#kind.externalDataFile) {
      this.dataFile.set(bytes.subarray(0, this.#kind.size - guest), host);
    } else {
      this.poke(host, bytes);
    }
  }

  #view(): DataView {
    return new DataView(this.#bytes.buffer);
  }
}
