import { ImgError, type FormatAccess, type Io, type Storage } from "@img/format-core";
import type { ClusterCodec } from "./codecs/codec.ts";
import { hasFeature, incompatible } from "./header/features.ts";
import type { Qcow2Header } from "./header/header.ts";
import { sectorSize } from "./header/layout.ts";
import { ClusterMap } from "./mapping/cluster-map.ts";
import type { ClusterMapping } from "./mapping/cluster-mapping.ts";
import { DecompressedClusters } from "./mapping/decompressed-clusters.ts";
import { RefcountReader } from "./refcounts/refcount-reader.ts";
import type { Snapshot } from "./snapshots/snapshot.ts";
import type { L1Source } from "./tables/l1-entry.ts";
import { L1Table } from "./tables/l1-table.ts";
import type { L2EntryLayout } from "./tables/l2-entry.ts";
import type { SliceSource } from "./tables/slice-source.ts";
import { TableReader } from "./tables/table-reader.ts";
import { CachedL2, ResidentL1 } from "./write/cached-tables.ts";
import type { ImageWriter } from "./write/image-writer.ts";

/** Parts of tables are read and kept in pieces of this many bytes, or of a cluster if that is smaller. */
const sliceLength = 4096;
const l1CacheSize = 1024 * 1024;
const defaultL2CacheSize = 8 * 1024 * 1024;
const defaultClusterCacheSize = 4 * 1024 * 1024;

/** What {@link ImageTables} are made of. */
export interface ImageTablesParts {
  readonly storage: Storage;
  readonly dataFile: Storage | null;
  readonly backing: FormatAccess | null;
  readonly header: Qcow2Header;
  /** The snapshot whose disk is shown; `undefined`: the disk as it is. */
  readonly snapshot: Snapshot | undefined;
  /** Gives the codec of compressed clusters, once one is met: many images have none. */
  readonly codec: (type: Qcow2Header["compressionType"]) => ClusterCodec;
  readonly l2CacheSize: number | undefined;
  readonly clusterCacheSize: number | undefined;
  /** Where tables come from while the image is written; without it they are only read. */
  readonly writer: ImageWriter | undefined;
}

/** The tables of an open image, and what is kept of them in memory. */
export class ImageTables {
  /** Size of the disk, bytes. */
  size: number;
  readonly layout: L2EntryLayout;
  /** The L1 table of the disk that is shown. */
  readonly l1: L1Source;
  readonly l2: SliceSource;
  readonly map: ClusterMap;
  readonly refcounts: RefcountReader;
  readonly decompressed: DecompressedClusters;
  readonly #readers: readonly TableReader[];
  /** The image below. */
  readonly backing: FormatAccess | null;

  constructor(parts: ImageTablesParts) {
    const { storage, header, snapshot } = parts;
    this.layout = entryLayout(header);
    const { clusterSize } = this.layout;
    const recorded = snapshot?.diskSize ?? header.size;
    // disks are measured in sectors; QEMU ignores what doesn't fill one
    this.size = recorded - (recorded % sectorSize);
    if (parts.writer === undefined) {
      const slice = sliceLengthFor(clusterSize);
      const l1Slices = new TableReader(storage, slice, l1CacheSize);
      const l2Slices = new TableReader(storage, slice, l2CacheSizeFor(this.size, this.layout, parts.l2CacheSize));
      this.l1 = new L1Table(
        snapshot?.l1TableOffset ?? header.l1TableOffset,
        snapshot?.l1Size ?? header.l1Size,
        clusterSize,
        l1Slices,
      );
      this.l2 = l2Slices;
      this.#readers = [l1Slices, l2Slices];
    } else {
      this.l1 = new ResidentL1(parts.writer.caches, clusterSize);
      this.l2 = new CachedL2(parts.writer.caches);
      this.#readers = [];
    }
    this.refcounts = new RefcountReader(storage, header);
    this.decompressed = new DecompressedClusters(
      storage,
      () => parts.codec(header.compressionType),
      clusterSize,
      parts.clusterCacheSize ?? defaultClusterCacheSize,
    );
    this.backing = parts.backing;
    this.map = new ClusterMap({
      tables: this,
      data: parts.dataFile ?? storage,
      backing: parts.backing,
      writable: parts.writer !== undefined,
    });
  }

  /** What the tables say about the cluster at `offset`. @throws ImgError `ERR_IMG_OUT_OF_RANGE` past the disk's end. */
  *clusterMapping(offset: number): Io<ClusterMapping> {
    if (offset >= this.size) {
      throw new ImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `guest offset ${String(offset)}: the disk has ${String(this.size)} bytes`,
      );
    }
    const absent = this.backing !== null ? "backing" : "unallocated";
    const piece = yield* this.map.piece(offset);
    if (piece === undefined) {
      const length = this.layout.clusterSize - (offset % this.layout.clusterSize);
      return { source: absent, clusterOffset: undefined, compressedLength: undefined, copied: false, length };
    }
    const { kind, hasHost, host, copied, length } = piece;
    if (kind === "compressed") {
      const { compressedLength } = piece;
      return { source: kind, clusterOffset: host, compressedLength, copied: false, length };
    }
    return {
      source: kind === "unallocated" ? absent : kind,
      clusterOffset: hasHost ? host : undefined,
      compressedLength: undefined,
      copied,
      length,
    };
  }

  /** Forgets everything that is kept in memory. */
  clear(): void {
    for (const reader of this.#readers) {
      reader.clear();
    }
    this.refcounts.clear();
    this.decompressed.clear();
  }
}

/** Bytes of a part of a table that is read and kept at once. */
export function sliceLengthFor(clusterSize: number): number {
  return Math.min(clusterSize, sliceLength);
}

/** Memory for parts of L2 tables, bytes: what was asked for, but not more than all of them take. */
export function l2CacheSizeFor(size: number, layout: L2EntryLayout, wanted: number | undefined): number {
  const all = Math.ceil(size / layout.clusterSize) * layout.entryLength + layout.clusterSize;
  return Math.max(Math.min(wanted ?? defaultL2CacheSize, all), 2 * sliceLengthFor(layout.clusterSize));
}

/** How L2 entries are read in the image with this header. */
export function entryLayout(header: Qcow2Header): L2EntryLayout {
  const extended = hasFeature(header.incompatibleFeatures, incompatible.extendedL2);
  return {
    clusterBits: header.clusterBits,
    clusterSize: 2 ** header.clusterBits,
    entryLength: extended ? 16 : 8,
    extended,
    hasZeroFlag: header.version === 3 && !extended,
    externalDataFile: hasFeature(header.incompatibleFeatures, incompatible.dataFile),
  };
}
