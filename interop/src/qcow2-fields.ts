/**
 * What a mutation can aim at. This knows the layout by itself, from the specification, so that it doesn't share mistakes with the
 * implementation that it tests.
 */
type FieldFamily =
  | "header"
  | "extension"
  | "backing-name"
  | "l1"
  | "l2"
  | "subcluster-bitmap"
  | "refcount-table"
  | "refcount-block"
  | "snapshot"
  | "bitmap-directory"
  | "compressed-data";

/** A field of an image file. */
export interface Field {
  readonly family: FieldFamily;
  readonly name: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** 1 … 8 for integers (big-endian), anything for names and data. */
  readonly length: number;
}

const headerLayout = [
  ["magic", 0, 4],
  ["version", 4, 4],
  ["backing_file_offset", 8, 8],
  ["backing_file_size", 16, 4],
  ["cluster_bits", 20, 4],
  ["size", 24, 8],
  ["crypt_method", 32, 4],
  ["l1_size", 36, 4],
  ["l1_table_offset", 40, 8],
  ["refcount_table_offset", 48, 8],
  ["refcount_table_clusters", 56, 4],
  ["nb_snapshots", 60, 4],
  ["snapshots_offset", 64, 8],
  ["incompatible_features", 72, 8],
  ["compatible_features", 80, 8],
  ["autoclear_features", 88, 8],
  ["refcount_order", 96, 4],
  ["header_length", 100, 4],
  ["compression_type", 104, 1],
] as const;

const offsetMask = 0x00ff_ffff_ffff_fe00n;

/** All fields of a well-formed image, in the order of the families. */
export function fieldsOf(image: Uint8Array): Field[] {
  return new FieldFinder(image).all();
}

class FieldFinder {
  readonly #view: DataView;
  readonly #fields: Field[] = [];
  readonly #version: number;
  readonly #clusterSize: number;
  readonly #extended: boolean;

  constructor(image: Uint8Array) {
    this.#view = new DataView(image.buffer, image.byteOffset, image.byteLength);
    this.#version = this.#view.getUint32(4);
    this.#clusterSize = 2 ** this.#view.getUint32(20);
    this.#extended = this.#version >= 3 && (this.#view.getUint32(76) & 16) !== 0;
  }

  all(): Field[] {
    this.#header();
    this.#extensions();
    this.#activeTables();
    this.#refcounts();
    this.#snapshots();
    return this.#fields;
  }

  #add(family: FieldFamily, name: string, offset: number, length: number): void {
    if (length > 0 && offset + length <= this.#view.byteLength) {
      this.#fields.push({ family, name, offset, length });
    }
  }

  #u64(offset: number): bigint {
    return offset + 8 <= this.#view.byteLength ? this.#view.getBigUint64(offset) : 0n;
  }

  #header(): void {
    for (const [name, offset, length] of headerLayout) {
      if (this.#version >= 3 || offset < 72) {
        this.#add("header", name, offset, length);
      }
    }
    this.#add("backing-name", "backing file name", Number(this.#u64(8)), this.#view.getUint32(16));
  }

  #extensions(): void {
    let at = this.#version === 2 ? 72 : this.#view.getUint32(100);
    for (;;) {
      const type = this.#view.getUint32(at);
      const length = this.#view.getUint32(at + 4);
      this.#add("extension", `type 0x${type.toString(16)}`, at, 4);
      this.#add("extension", `length of 0x${type.toString(16)}`, at + 4, 4);
      if (type === 0) {
        return;
      }
      this.#add("extension", `data of 0x${type.toString(16)}`, at + 8, length);
      if (type === 0x23852875) {
        this.#bitmaps(at + 8);
      }
      at += 8 + Math.ceil(length / 8) * 8;
    }
  }

  #bitmaps(extension: number): void {
    const integers = [
      ["nb_bitmaps", 0, 4],
      ["reserved", 4, 4],
      ["bitmap_directory_size", 8, 8],
      ["bitmap_directory_offset", 16, 8],
    ] as const;
    for (const [name, offset, length] of integers) {
      this.#add("extension", name, extension + offset, length);
    }
    let at = Number(this.#u64(extension + 16));
    const end = at + Number(this.#u64(extension + 8));
    for (let index = 0; at < end; index++) {
      const extra = this.#view.getUint32(at + 20);
      const name = this.#view.getUint16(at + 18);
      for (const [what, offset, length] of bitmapLayout) {
        this.#add("bitmap-directory", `${what} of bitmap ${String(index)}`, at + offset, length);
      }
      this.#add("bitmap-directory", `name of bitmap ${String(index)}`, at + 24 + extra, name);
      at += Math.ceil((24 + extra + name) / 8) * 8;
    }
  }

  #activeTables(): void {
    const l1 = Number(this.#u64(40));
    for (let index = 0; index < this.#view.getUint32(36); index++) {
      this.#add("l1", `L1 entry ${String(index)}`, l1 + 8 * index, 8);
      const l2 = Number(this.#u64(l1 + 8 * index) & offsetMask);
      if (l2 !== 0) {
        this.#l2Table(index, l2);
      }
    }
  }

  #l2Table(l1Index: number, offset: number): void {
    const entrySize = this.#extended ? 16 : 8;
    for (let index = 0; index < this.#clusterSize / entrySize; index++) {
      const at = offset + entrySize * index;
      const entry = this.#u64(at);
      // most of a table is empty; a few empty entries are enough to aim at
      if (entry === 0n && index % 61 !== 0) {
        continue;
      }
      this.#add("l2", `entry ${String(index)} of L2 table ${String(l1Index)}`, at, 8);
      if (this.#extended) {
        this.#add("subcluster-bitmap", `bitmap ${String(index)} of L2 table ${String(l1Index)}`, at + 8, 8);
      }
      if ((entry & (1n << 62n)) !== 0n) {
        const bits = BigInt(62 - (Math.log2(this.#clusterSize) - 8));
        this.#add("compressed-data", `compressed cluster ${String(index)}`, Number(entry & ((1n << bits) - 1n)), 40);
      }
    }
  }

  #refcounts(): void {
    const table = Number(this.#u64(48));
    for (let index = 0; index < (this.#view.getUint32(56) * this.#clusterSize) / 8; index++) {
      const block = Number(this.#u64(table + 8 * index) & ~0x1ffn);
      if (block === 0 && index > 2) {
        return;
      }
      this.#add("refcount-table", `refcount table entry ${String(index)}`, table + 8 * index, 8);
      for (let entry = 0; block !== 0 && entry < 32; entry++) {
        this.#add("refcount-block", `refcount ${String(entry)} of block ${String(index)}`, block + 2 * entry, 2);
      }
    }
  }

  #snapshots(): void {
    let at = Number(this.#u64(64));
    for (let index = 0; index < this.#view.getUint32(60); index++) {
      const id = this.#view.getUint16(at + 12);
      const name = this.#view.getUint16(at + 14);
      const extra = this.#view.getUint32(at + 36);
      for (const [what, offset, length] of snapshotLayout) {
        this.#add("snapshot", `${what} of snapshot ${String(index)}`, at + offset, length);
      }
      for (let offset = 0; offset < extra; offset += 8) {
        this.#add("snapshot", `extra data of snapshot ${String(index)}`, at + 40 + offset, 8);
      }
      this.#add("snapshot", `id and name of snapshot ${String(index)}`, at + 40 + extra, id + name);
      this.#snapshotL1(index, Number(this.#u64(at)), this.#view.getUint32(at + 8));
      at += Math.ceil((40 + extra + id + name) / 8) * 8;
    }
  }

  #snapshotL1(snapshot: number, offset: number, size: number): void {
    for (let index = 0; index < size; index++) {
      this.#add("l1", `L1 entry ${String(index)} of snapshot ${String(snapshot)}`, offset + 8 * index, 8);
    }
  }
}

const bitmapLayout = [
  ["table offset", 0, 8],
  ["table size", 8, 4],
  ["flags", 12, 4],
  ["type", 16, 1],
  ["granularity", 17, 1],
  ["name length", 18, 2],
  ["extra data length", 20, 4],
] as const;

const snapshotLayout = [
  ["l1_table_offset", 0, 8],
  ["l1_size", 8, 4],
  ["id length", 12, 2],
  ["name length", 14, 2],
  ["date", 16, 4],
  ["nanoseconds", 20, 4],
  ["VM clock", 24, 8],
  ["VM state size", 32, 4],
  ["extra data size", 36, 4],
] as const;
