import type { CheckedImageSpec } from "./checked-image.ts";

/** An image's bytes with what is needed to find one's way in them; numbers are read as they stand. */
export class DamagedImage {
  bytes: Uint8Array<ArrayBuffer>;
  readonly spec: CheckedImageSpec;
  readonly cluster: number;
  readonly entryLength: number;

  constructor(bytes: Uint8Array, spec: CheckedImageSpec) {
    this.bytes = Uint8Array.from(bytes);
    this.spec = spec;
    this.cluster = 2 ** spec.clusterBits;
    this.entryLength = spec.extendedL2 === true ? 16 : 8;
  }

  get view(): DataView {
    return new DataView(this.bytes.buffer);
  }

  get l1Offset(): number {
    return Number(this.view.getBigUint64(40));
  }

  get l1Size(): number {
    return this.view.getUint32(36);
  }

  get refcountTable(): number {
    return Number(this.view.getBigUint64(48));
  }

  get snapshotTable(): number {
    return Number(this.view.getBigUint64(64));
  }

  get(at: number): bigint {
    return this.view.getBigUint64(at);
  }

  put(at: number, value: bigint): void {
    this.view.setBigUint64(at, value);
  }

  or(at: number, bits: bigint): void {
    this.put(at, this.get(at) | bits);
  }

  clear(at: number, bits: bigint): void {
    this.put(at, this.get(at) & ~bits);
  }

  /** Place of the `nth` L1 entry that isn't 0. */
  l1Entry(nth = 0): number {
    const used = Array.from({ length: this.l1Size }, (_, index) => this.l1Offset + index * 8).filter(
      (at) => this.get(at) !== 0n,
    );
    return this.#pick(used, nth, "L1 entry");
  }

  /** Places of the active L2 entries that `accept` takes. */
  l2Entries(accept: (entry: bigint) => boolean): number[] {
    const found: number[] = [];
    for (let index = 0; index < this.l1Size; index++) {
      const table = Number(this.get(this.l1Offset + index * 8) & offsetMask);
      for (let at = table; table !== 0 && at < table + this.cluster; at += this.entryLength) {
        if (at + 8 <= this.bytes.length && accept(this.get(at))) {
          found.push(at);
        }
      }
    }
    return found;
  }

  /** Place of the `nth` active L2 entry of a normal cluster. */
  data(nth = 0): number {
    const isData = (entry: bigint): boolean =>
      (entry & compressed) === 0n && (entry & offsetMask) !== 0n && (entry & 1n) === 0n;
    return this.#pick(this.l2Entries(isData), nth, "data cluster");
  }

  compressedEntry(nth = 0): number {
    return this.#pick(
      this.l2Entries((entry) => (entry & compressed) !== 0n),
      nth,
      "compressed cluster",
    );
  }

  unallocated(): number {
    return this.#pick(
      this.l2Entries((entry) => entry === 0n),
      5,
      "unallocated cluster",
    );
  }

  refcountPlace(cluster: number): { view: DataView; index: number } {
    const coverage = (this.cluster * 8) / this.spec.refcountBits;
    const block = Number(this.get(this.refcountTable + Math.floor(cluster / coverage) * 8) & offsetMask);
    return { view: new DataView(this.bytes.buffer, block, this.cluster), index: cluster % coverage };
  }

  setRefcount(cluster: number, value: number): void {
    const { view, index } = this.refcountPlace(cluster);
    const bits = this.spec.refcountBits;
    for (let bit = 0; bit < bits; bit++) {
      // widths below a byte are packed from the lowest bit on, wider ones are big-endian
      const place = bits < 8 ? index * bits + bit : (index + 1) * bits - 8 - Math.floor(bit / 8) * 8 + (bit % 8);
      const at = Math.floor(place / 8);
      const mask = 1 << (place % 8);
      const isSet = bit < 32 && ((value >>> bit) & 1) === 1;
      view.setUint8(at, isSet ? view.getUint8(at) | mask : view.getUint8(at) & ~mask);
    }
  }

  clusterOf(entry: number): number {
    return Math.floor(Number(this.get(entry) & offsetMask) / this.cluster);
  }

  get clusters(): number {
    return Math.ceil(this.bytes.length / this.cluster);
  }

  resize(length: number): void {
    const changed = new Uint8Array(length);
    changed.set(this.bytes.subarray(0, length));
    this.bytes = changed;
  }

  /** Place of the nth header extension of a type's data. */
  extension(type: number): number {
    for (let at = this.view.getUint32(100); this.view.getUint32(at) !== 0;) {
      if (this.view.getUint32(at) === type) {
        return at + 8;
      }
      at += 8 + Math.ceil(this.view.getUint32(at + 4) / 8) * 8;
    }
    throw new NotThere(`no header extension ${String(type)}`);
  }

  #pick(places: readonly number[], nth: number, what: string): number {
    const place = places[nth];
    if (place === undefined) {
      throw new NotThere(`no ${what} ${String(nth)}`);
    }
    return place;
  }
}

/** The image doesn't have what would be damaged. */
export class NotThere extends Error {}

const offsetMask = 0x00ff_ffff_ffff_fe00n;
const copied = 1n << 63n;
const compressed = 1n << 62n;

/** One way to damage an image. */
export interface Damage {
  readonly name: string;
  readonly needs?: (spec: CheckedImageSpec) => boolean;
  readonly apply: (image: DamagedImage) => void;
  /** Clusters that qemu-img takes for lost, but that aren't. */
  readonly loses?: number;
  /** qemu-img refuses to check: ours fails too (`both`), or it checks (`ours`: the number of corruptions at least). */
  readonly refused?: "both" | { readonly corruptions: number; readonly complete: boolean };
}

const hasSnapshots = (spec: CheckedImageSpec): boolean => spec.snapshots === true;
const isVersion3 = (spec: CheckedImageSpec): boolean => spec.version === 3;
const isInternal = (spec: CheckedImageSpec): boolean => spec.dataFile !== true;
const hasBitmaps = (spec: CheckedImageSpec): boolean => spec.bitmaps === true;
const isStandard = (spec: CheckedImageSpec): boolean => spec.extendedL2 !== true && isInternal(spec);
const isLarge = (spec: CheckedImageSpec): boolean => spec.clusterBits > 9;
const canCount =
  (count: number) =>
  (spec: CheckedImageSpec): boolean =>
    isInternal(spec) && spec.refcountBits >= Math.log2(count + 1);
const all =
  (...needs: readonly ((spec: CheckedImageSpec) => boolean)[]) =>
  (spec: CheckedImageSpec): boolean =>
    needs.every((need) => need(spec));

function setOffset(image: DamagedImage, at: number, offset: number): void {
  image.put(at, (image.get(at) & ~offsetMask) | BigInt(offset));
}

const hasNoBitmaps = (spec: CheckedImageSpec): boolean => spec.bitmaps !== true;
const bitmapsExtension = 0x23852875;

/** Everything that the tests break, one at a time. */
export const damages: readonly Damage[] = [
  { name: "an L1 entry with a high reserved bit", apply: (i) => i.or(i.l1Entry(), 1n << 60n) },
  { name: "an L1 entry with a low reserved bit", apply: (i) => i.or(i.l1Entry(), 4n) },
  {
    name: "an L1 entry that isn't aligned",
    needs: isLarge,
    apply: (i) => i.put(i.l1Entry(), i.get(i.l1Entry()) + 512n),
  },
  {
    name: "an L1 entry far past the end",
    apply: (i) => setOffset(i, i.l1Entry(), 2 ** 40),
  },
  {
    name: "an L1 entry at the largest offset",
    apply: (i) => i.or(i.l1Entry(), offsetMask),
  },
  { name: "an L1 entry without COPIED", apply: (i) => i.clear(i.l1Entry(), copied) },
  { name: "an L1 entry that lost its table", apply: (i) => i.put(i.l1Entry(), 0n) },
  {
    name: "two L1 entries with one table",
    apply: (i) => i.put(i.l1Entry(1), i.get(i.l1Entry())),
  },
  {
    // makes an L2 table of the header; with extended entries we count more of what it seems to refer to
    name: "an L1 entry with COPIED and no offset",
    needs: (spec) => spec.extendedL2 !== true,
    apply: (i) => i.put(i.l1Entry(), copied),
  },
  { name: "an L1 entry that points at the L1 table", apply: (i) => setOffset(i, i.l1Entry(), i.l1Offset) },
  { name: "an L2 entry with a high reserved bit", apply: (i) => i.or(i.data(), 1n << 57n) },
  { name: "an L2 entry with a low reserved bit", apply: (i) => i.or(i.data(), 8n) },
  {
    name: "an L2 entry that isn't aligned",
    needs: all(isInternal, isLarge),
    apply: (i) => i.put(i.data(), i.get(i.data()) + 512n),
  },
  {
    name: "a zero cluster with a place that isn't aligned",
    needs: all(isVersion3, isStandard, isLarge),
    apply: (i) => i.put(i.data(), i.get(i.data()) + 513n),
  },
  {
    name: "an L2 entry far past the end",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), 2 ** 41),
  },
  {
    name: "an L2 entry at the largest offset",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), 2 ** 55 + 2 ** 30),
  },
  {
    name: "an L2 entry right past the end",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), i.clusters * i.cluster),
  },
  {
    name: "an L2 entry without COPIED",
    apply: (i) => i.clear(i.l2Entries((entry) => (entry & copied) !== 0n)[0] ?? 0, copied),
  },
  {
    name: "an L2 entry with COPIED that a snapshot shares",
    needs: hasSnapshots,
    apply: (i) =>
      i.or(
        i.l2Entries((entry) => (entry & (copied | compressed)) === 0n && (entry & offsetMask) !== 0n)[0] ?? 0,
        copied,
      ),
  },
  { name: "an L2 entry that lost its cluster", apply: (i) => i.put(i.data(), 0n) },
  { name: "two L2 entries with one cluster", needs: isInternal, apply: (i) => i.put(i.data(1), i.get(i.data())) },
  {
    name: "an L2 entry that points at the L1 table",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), i.l1Offset),
  },
  {
    name: "an L2 entry that points at the refcount table",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), i.refcountTable),
  },
  {
    name: "an L2 entry that points at a refcount block",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), Number(i.get(i.refcountTable))),
  },
  {
    name: "an L2 entry that points at its own table",
    needs: isInternal,
    apply: (i) => setOffset(i, i.data(), Number(i.get(i.l1Entry()) & offsetMask)),
  },
  { name: "a compressed cluster with COPIED", apply: (i) => i.or(i.compressedEntry(), copied) },
  {
    name: "a compressed cluster past the end",
    apply: (i) => i.or(i.compressedEntry(), 1n << 39n),
  },
  {
    name: "a compressed cluster that claims more sectors",
    apply: (i) =>
      i.put(
        i.compressedEntry(),
        i.get(i.compressedEntry()) | (((1n << BigInt(i.spec.clusterBits - 8)) - 1n) << BigInt(70 - i.spec.clusterBits)),
      ),
  },
  {
    name: "a zero flag in version 2",
    needs: (spec) => spec.version === 2,
    apply: (i) => i.or(i.data(), 1n),
  },
  {
    name: "bit 0 of an extended L2 entry",
    needs: (spec) => spec.extendedL2 === true,
    apply: (i) => i.or(i.data(), 1n),
  },
  {
    name: "subclusters that are zero and allocated",
    needs: (spec) => spec.extendedL2 === true,
    apply: (i) => i.put(i.data() + 8, 0x0000_0001_ffff_ffffn),
  },
  {
    name: "allocated subclusters without a cluster",
    needs: (spec) => spec.extendedL2 === true,
    apply: (i) => i.put(i.unallocated() + 8, 1n),
  },
  {
    name: "a compressed cluster with subclusters",
    needs: (spec) => spec.extendedL2 === true,
    apply: (i) => i.put(i.compressedEntry() + 8, 1n),
    loses: 1,
  },
  {
    name: "a cluster of the data file out of place",
    needs: (spec) => spec.dataFile === true,
    apply: (i) => setOffset(i, i.data(), 100 * i.cluster),
  },
  {
    name: "a compressed cluster with a data file",
    needs: (spec) => spec.dataFile === true,
    apply: (i) => i.put(i.data(), compressed),
  },
  { name: "a data cluster with refcount 0", needs: isInternal, apply: (i) => i.setRefcount(i.clusterOf(i.data()), 0) },
  { name: "a data cluster with refcount 3", needs: canCount(3), apply: (i) => i.setRefcount(i.clusterOf(i.data()), 3) },
  {
    name: "a data cluster with the largest refcount",
    apply: (i) => i.setRefcount(i.clusterOf(i.data(1)), 2 ** Math.min(i.spec.refcountBits, 32) - 1),
    needs: isInternal,
  },
  { name: "the header with refcount 0", apply: (i) => i.setRefcount(0, 0) },
  { name: "the L1 table with refcount 0", apply: (i) => i.setRefcount(i.l1Offset / i.cluster, 0) },
  {
    name: "a refcount block with refcount 0",
    apply: (i) => i.setRefcount(Number(i.get(i.refcountTable)) / i.cluster, 0),
  },
  {
    name: "a refcount block with refcount 2",
    needs: (spec) => spec.refcountBits > 1,
    apply: (i) => i.setRefcount(Number(i.get(i.refcountTable)) / i.cluster, 2),
  },
  {
    name: "a refcount for a cluster that is free",
    apply: (i) => {
      i.resize((i.clusters + 2) * i.cluster);
      i.setRefcount(i.clusters - 2, 1);
    },
  },
  { name: "no refcount block", apply: (i) => i.put(i.refcountTable, 0n) },
  { name: "a refcount block with reserved bits", apply: (i) => i.or(i.refcountTable, 1n) },
  {
    name: "a refcount block that isn't aligned",
    needs: isLarge,
    apply: (i) => i.put(i.refcountTable, i.get(i.refcountTable) + 512n),
  },
  { name: "a refcount block past the end", apply: (i) => i.put(i.refcountTable, BigInt(2 ** 40)) },
  {
    name: "a second refcount block in the place of the first",
    apply: (i) => i.put(i.refcountTable + 40, i.get(i.refcountTable)),
  },
  {
    name: "a file that lost its last cluster",
    needs: all(isInternal, hasNoBitmaps),
    apply: (i) => i.resize((i.clusters - 1) * i.cluster),
  },
  { name: "a file that lost its last sector", needs: hasNoBitmaps, apply: (i) => i.resize(i.bytes.length - 512) },
  { name: "a file with garbage behind it", apply: (i) => i.resize(i.bytes.length + 3 * i.cluster + 1) },
  {
    name: "a snapshot's L1 table that isn't aligned",
    needs: hasSnapshots,
    apply: (i) => i.put(i.snapshotTable, i.get(i.snapshotTable) + 256n),
  },
  {
    name: "a snapshot's L1 table that is too long",
    needs: hasSnapshots,
    apply: (i) => i.view.setUint32(i.snapshotTable + 8, 5_000_000),
  },
  {
    name: "a snapshot's L1 table past the end",
    needs: hasSnapshots,
    apply: (i) => i.put(i.snapshotTable, BigInt(2 ** 42)),
  },
  {
    name: "a snapshot's L1 entry with reserved bits",
    needs: hasSnapshots,
    apply: (i) => i.or(Number(i.get(i.snapshotTable)), 1n << 59n),
  },
  {
    name: "a snapshot's L2 entry with reserved bits",
    needs: hasSnapshots,
    apply: (i) => i.or(Number(i.get(Number(i.get(i.snapshotTable))) & offsetMask), 1n << 58n),
  },
  {
    name: "a snapshot without its extra data",
    needs: all(hasSnapshots, isVersion3),
    apply: (i) => {
      const first = new DataView(i.bytes.buffer, i.snapshotTable);
      const length = 40 + first.getUint32(36) + first.getUint16(12) + first.getUint16(14);
      i.view.setUint32(i.snapshotTable + Math.ceil(length / 8) * 8 + 36, 8);
    },
  },
  {
    name: "a snapshot with too much extra data",
    needs: hasSnapshots,
    apply: (i) => i.view.setUint32(i.snapshotTable + 36, 1025),
    refused: { corruptions: 0, complete: false },
  },
  { name: "forgotten snapshots", needs: hasSnapshots, apply: (i) => i.view.setUint32(60, 0) },
  {
    name: "too many snapshots",
    apply: (i) => i.view.setUint32(60, 70_000),
    refused: { corruptions: 0, complete: false },
  },
  {
    name: "a bitmap table entry with reserved bits",
    needs: hasBitmaps,
    apply: (i) => {
      const directory = Number(i.get(i.extension(bitmapsExtension) + 16));
      i.or(Number(i.get(directory)), 4n);
    },
    refused: { corruptions: 1, complete: false },
  },
  {
    name: "a bitmap directory that makes no sense",
    needs: hasBitmaps,
    apply: (i) => i.view.setUint8(Number(i.get(i.extension(bitmapsExtension) + 16)) + 16, 77),
    refused: { corruptions: 1, complete: false },
  },
  { name: "forgotten bitmaps", needs: hasBitmaps, apply: (i) => i.clear(88, 1n) },
  { name: "the dirty bit", needs: isVersion3, apply: (i) => i.or(72, 1n) },
  { name: "the corrupt bit", needs: isVersion3, apply: (i) => i.or(72, 2n) },
  { name: "no refcount table", apply: (i) => i.view.setUint32(56, 0) },
  { name: "an unknown incompatible bit", needs: isVersion3, apply: (i) => i.or(72, 1n << 40n), refused: "both" },
  { name: "an L1 table that isn't aligned", apply: (i) => i.put(40, BigInt(i.l1Offset + 8)), refused: "both" },
  { name: "an L1 table that is too short", apply: (i) => i.view.setUint32(36, 0), refused: "both" },
];
