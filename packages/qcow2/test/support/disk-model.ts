import { SeededRandom } from "@img/testing";
import type { ImageBuilder } from "./image-builder.ts";

/** What is known of one cluster, or of one subcluster. */
export interface Unit {
  readonly kind: "data" | "zero" | "unallocated" | "compressed";
  /** Host offset of what belongs to it. */
  readonly host?: number;
}

/** What an image's tables say, one unit (cluster or subcluster) after the other, and how a look-up has to answer. */
export class DiskModel {
  readonly #units: Unit[] = [];
  readonly #unitSize: number;
  /** Clusters of one L2 table that are read together. */
  readonly #sliceSize: number;
  readonly #coverage: number;
  readonly #size: number;
  /** L2 tables that exist, by index. */
  readonly #tables = new Set<number>();

  constructor(image: ImageBuilder, size: number, extended: boolean) {
    this.#unitSize = extended ? image.clusterSize / 32 : image.clusterSize;
    const entryLength = extended ? 16 : 8;
    this.#sliceSize = (Math.min(4096, image.clusterSize) / entryLength) * image.clusterSize;
    this.#coverage = image.coverage;
    this.#size = size;
  }

  /** Notes what the unit at a guest offset is, which makes its L2 table. */
  set(guest: number, unit: Unit): void {
    this.#units[guest / this.#unitSize] = unit;
    this.#tables.add(Math.floor(guest / this.#coverage));
  }

  /** What the tables say about the byte at a guest offset, and how far that goes on at most. */
  look(guest: number, maxLength: number): Unit & { readonly length: number } {
    const most = Math.min(maxLength, this.#size - guest);
    if (!this.#tables.has(Math.floor(guest / this.#coverage))) {
      return { kind: "unallocated", length: Math.min(most, this.#coverage - (guest % this.#coverage)) };
    }
    const sliceEnd = guest - (guest % this.#sliceSize) + this.#sliceSize;
    const first = this.#at(guest);
    const last = Math.min(sliceEnd, guest + most);
    let end = guest - (guest % this.#unitSize) + this.#unitSize;
    while (end < last && this.#continues(first, this.#at(end), end - guest)) {
      end += this.#unitSize;
    }
    return { ...first, length: Math.min(end, last) - guest };
  }

  #at(guest: number): Unit {
    const unit = this.#units[Math.floor(guest / this.#unitSize)] ?? { kind: "unallocated" };
    return unit.host === undefined || unit.kind === "compressed"
      ? { kind: unit.kind }
      : { kind: unit.kind, host: unit.host + (guest % this.#unitSize) };
  }

  #continues(first: Unit, next: Unit, distance: number): boolean {
    return next.kind === first.kind && next.host === (first.host === undefined ? undefined : first.host + distance);
  }
}

/** Fills an image with clusters of all kinds in runs and mixtures; what a read gives is written into `disk`. */
export function fillRandomly(
  image: ImageBuilder,
  model: DiskModel,
  disk: Uint8Array,
  random: SeededRandom,
  options: { readonly extended: boolean; readonly compress: (bytes: Uint8Array) => Uint8Array },
): void {
  const { clusterSize } = image;
  const clusters = Math.ceil(disk.length / clusterSize);
  for (let cluster = 0; cluster < clusters;) {
    const kind = random.pick(["data", "data", "zero", "kept", "nothing", "compressed", "mixture"] as const);
    const run = random.integer(1, 6);
    for (let left = run; left > 0 && cluster < clusters; left--, cluster++) {
      new ClusterFiller(image, model, disk, random).fill(cluster * clusterSize, kind, options);
    }
  }
}

class ClusterFiller {
  readonly #image: ImageBuilder;
  readonly #model: DiskModel;
  readonly #disk: Uint8Array;
  readonly #random: SeededRandom;

  constructor(image: ImageBuilder, model: DiskModel, disk: Uint8Array, random: SeededRandom) {
    this.#image = image;
    this.#model = model;
    this.#disk = disk;
    this.#random = random;
  }

  fill(
    guest: number,
    kind: "data" | "zero" | "kept" | "nothing" | "compressed" | "mixture",
    options: { readonly extended: boolean; readonly compress: (bytes: Uint8Array) => Uint8Array },
  ): void {
    const { clusterSize } = this.#image;
    if (kind === "data") {
      const bytes = this.#random.bytes(clusterSize);
      this.#show(guest, bytes);
      this.#note(guest, options.extended, "data", this.#image.data(guest, bytes));
    } else if (kind === "zero") {
      this.#image.zero(guest);
      this.#note(guest, options.extended, "zero", undefined);
    } else if (kind === "kept") {
      this.#note(guest, options.extended, "zero", this.#image.zero(guest, true));
    } else if (kind === "compressed") {
      const bytes = Uint8Array.from(this.#random.bytes(clusterSize), (byte) => byte & 7);
      this.#show(guest, bytes);
      this.#image.compressed(guest, options.compress(bytes));
      this.#note(guest, options.extended, "compressed", undefined);
    } else if (kind === "mixture" && options.extended) {
      this.#mix(guest);
    }
  }

  #mix(guest: number): void {
    const { clusterSize } = this.#image;
    const zeroes = this.#random.next() & this.#random.next();
    const hasHost = this.#random.chance(0.8);
    const allocated = hasHost ? (this.#random.next() | this.#random.next()) & ~zeroes : 0;
    const bytes = this.#random.bytes(clusterSize);
    const host = this.#image.subclusters(guest, zeroes >>> 0, allocated >>> 0, hasHost ? bytes : undefined);
    const unit = clusterSize / 32;
    for (let index = 0; index < 32; index++) {
      const at = index * unit;
      const isZero = ((zeroes >>> index) & 1) === 1;
      const isData = ((allocated >>> index) & 1) === 1;
      const kind = isZero ? "zero" : isData ? "data" : "unallocated";
      this.#model.set(guest + at, { kind, ...(hasHost ? { host: host + at } : {}) });
      if (isData) {
        this.#show(guest + at, bytes.subarray(at, at + unit));
      }
    }
  }

  #show(guest: number, bytes: Uint8Array): void {
    this.#disk.set(bytes.subarray(0, Math.max(0, this.#disk.length - guest)), guest);
  }

  #note(guest: number, extended: boolean, kind: Unit["kind"], host: number | undefined): void {
    const unit = extended ? this.#image.clusterSize / 32 : this.#image.clusterSize;
    for (let at = 0; at < this.#image.clusterSize; at += unit) {
      this.#model.set(guest + at, { kind, ...(host === undefined ? {} : { host: host + at }) });
    }
  }
}
