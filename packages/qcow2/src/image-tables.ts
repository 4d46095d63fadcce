import { ImgError, type FormatAccess, type Io, type Storage } from "@img/format-core";
import type { Codecs } from "./codecs/codec.ts";
import { hasFeature, incompatible } from "./header/features.ts";
import type { Qcow2Header } from "./header/header.ts";
import { sectorSize } from "./header/layout.ts";
import { ClusterMap } from "./mapping/cluster-map.ts";
import type { ClusterMapping } from "./mapping/cluster-mapping.ts";
import { DecompressedClusters } from "./mapping/decompressed-clusters.ts";
import { RefcountReader } from "./refcounts/refcount-reader.ts";
import type { Snapshot } from "./snapshots/snapshot.ts";
import { L1Table } from "./tables/l1-table.ts";
import { compressedCluster, type L2EntryLayout } from "./tables/l2-entry.ts";
import { TableReader } from "./tables/table-reader.ts";

/** Parts of tables are read and kept in pieces of this many bytes, or of a cluster if that is smaller. */
const sliceLength = 4096;
const l1CacheSize = 1024 * 1024;
const defaultL2CacheSize = 16 * 1024 * 1024;
const defaultClusterCacheSize = 4 * 1024 * 1024;

/** What {@link ImageTables} are made of. */
export interface ImageTablesParts {
  readonly storage: Storage;
  readonly dataFile: Storage | null;
  readonly backing: FormatAccess | null;
  readonly header: Qcow2Header;
  /** The snapshot whose disk is shown; `undefined`: the disk as it is. */
  readonly snapshot: Snapshot | undefined;
  readonly codecs: Codecs;
  readonly l2CacheSize: number | undefined;
  readonly clusterCacheSize: number | undefined;
}

/** The tables of an open image, and what is kept of them in memory. */
export class ImageTables {
  /** Size of the disk, bytes. */
  readonly size: number;
  readonly layout: L2EntryLayout;
  /** The L1 table of the disk that is shown. */
  readonly l1: L1Table;
  readonly l2: TableReader;
  readonly map: ClusterMap;
  readonly refcounts: RefcountReader;
  readonly decompressed: DecompressedClusters;
  readonly #l1Reader: TableReader;
  readonly #backed: boolean;

  constructor(parts: ImageTablesParts) {
    const { storage, header, snapshot } = parts;
    this.layout = entryLayout(header);
    const { clusterSize, entryLength } = this.layout;
    const recorded = snapshot?.diskSize ?? header.size;
    // disks are measured in sectors; QEMU ignores what doesn't fill one
    this.size = recorded - (recorded % sectorSize);
    const slice = Math.min(clusterSize, sliceLength);
    this.#l1Reader = new TableReader(storage, slice, l1CacheSize);
    this.l1 = new L1Table(
      snapshot?.l1TableOffset ?? header.l1TableOffset,
      snapshot?.l1Size ?? header.l1Size,
      clusterSize,
      this.#l1Reader,
    );
    const wholeMap = Math.ceil(this.size / clusterSize) * entryLength;
    const l2Budget = Math.min(parts.l2CacheSize ?? defaultL2CacheSize, wholeMap + clusterSize);
    this.l2 = new TableReader(storage, slice, Math.max(l2Budget, 2 * slice));
    this.refcounts = new RefcountReader(storage, header);
    this.decompressed = new DecompressedClusters(
      storage,
      parts.codecs[header.compressionType],
      clusterSize,
      parts.clusterCacheSize ?? defaultClusterCacheSize,
    );
    this.#backed = parts.backing !== null;
    this.map = new ClusterMap({
      l1: this.l1,
      l2: this.l2,
      layout: this.layout,
      size: this.size,
      data: parts.dataFile ?? storage,
      backing: parts.backing,
      writable: false,
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
    const absent = this.#backed ? "backing" : "unallocated";
    const piece = yield* this.map.piece(offset);
    if (piece === undefined) {
      const length = this.layout.clusterSize - (offset % this.layout.clusterSize);
      return { source: absent, clusterOffset: undefined, compressedLength: undefined, copied: false, length };
    }
    const { kind, hasHost, host, copied, length } = piece;
    if (kind === "compressed") {
      const entry = yield* this.map.entry(offset);
      const place = compressedCluster(entry?.high ?? 0, entry?.low ?? 0, this.layout.clusterBits);
      return { source: kind, clusterOffset: place.offset, compressedLength: place.length, copied: false, length };
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
    this.#l1Reader.clear();
    this.l2.clear();
    this.refcounts.clear();
    this.decompressed.clear();
  }
}

function entryLayout(header: Qcow2Header): L2EntryLayout {
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
