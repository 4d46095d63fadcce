import { IoVector } from "@img/io-vector";
import { checkpoint, hex, isImgError, perform, readStorage, type Io } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import { compressedFlag } from "../tables/l2-entry.ts";
import type { CheckState } from "./check-state.ts";
import type { Finding } from "./finding.ts";
import { SeenClusters } from "./seen-clusters.ts";
import type { VisitedTable } from "./walk-tables.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;

/** Looks at what L2 entries lead to, one disk after the other: the current one and those of snapshots. */
export class DeepScan {
  readonly #state: CheckState;
  readonly #codec: ClusterCodec;
  readonly #cluster: Uint8Array<ArrayBuffer>;
  /** L2 tables whose compressed clusters were tried; snapshots share them. */
  readonly #tried = new Set<number>();
  /** Host clusters that data of the disk lies in. */
  #data = new SeenClusters();
  /** Host clusters that compressed data of the disk lies in, which may share them. */
  #compressed = new SeenClusters();
  #isLoaded = false;

  constructor(state: CheckState, codec: ClusterCodec) {
    this.#state = state;
    this.#codec = codec;
    this.#cluster = new Uint8Array(state.clusterSize);
  }

  /** What comes from now on belongs to another disk, which may share clusters with the one before. */
  beginDisk(): void {
    this.#data = new SeenClusters();
    this.#compressed = new SeenClusters();
  }

  *visit(place: VisitedTable): Io<void> {
    if (place.table === "l1") {
      return;
    }
    const { entryLength, clusterSize } = this.#state.layout;
    const isNew = !this.#tried.has(place.hostOffset);
    this.#tried.add(place.hostOffset);
    for (let at = 0; at < place.bytes.length; at += entryLength) {
      const high = place.view.getUint32(at);
      const low = place.view.getUint32(at + 4);
      const where: EntryPlace = {
        guestOffset: place.guestOffset + (at / entryLength) * clusterSize,
        entryOffset: place.hostOffset + at,
        snapshot: place.tree.snapshot,
      };
      if ((high & compressedFlag) !== 0) {
        yield* this.#checkCompressed(high, low, where, isNew);
      } else if ((high & offsetHigh) !== 0 || (low & offsetLow) !== 0) {
        this.#checkData((high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0), where);
      }
    }
  }

  #checkData(offset: number, where: EntryPlace): void {
    const cluster = offset / this.#state.clusterSize;
    // the others are past the end or misplaced, which is known
    if (Number.isInteger(cluster) && cluster < this.#state.fileClusters) {
      if (this.#data.has(cluster) || this.#compressed.has(cluster)) {
        this.#shared(cluster, "another place of the disk lies there, too", where);
      }
      this.#data.add(cluster);
      this.#checkAnchors(cluster, where);
    }
  }

  *#checkCompressed(high: number, low: number, where: EntryPlace, isNew: boolean): Io<void> {
    const { clusterBits, clusterSize } = this.#state.layout;
    const offsetBits = 62 - (clusterBits - 8) - 32;
    const offset = (high & (2 ** offsetBits - 1)) * 0x1_0000_0000 + low;
    const length = (((high & 0x3fff_ffff) >>> offsetBits) + 1) * 512 - (offset % 512);
    // where the data ends isn't known: what it claims beyond its first cluster may be others'
    const cluster = Math.floor(offset / clusterSize);
    if (cluster < this.#state.fileClusters) {
      if (this.#data.has(cluster)) {
        this.#shared(cluster, "another place of the disk lies there, too", where);
      }
      this.#compressed.add(cluster);
      this.#checkAnchors(cluster, where);
    }
    if (isNew) {
      yield* this.#decompress(offset, length, where);
    }
  }

  *#decompress(offset: number, length: number, where: EntryPlace): Io<void> {
    yield* checkpoint();
    if (!this.#isLoaded && this.#codec.load !== undefined) {
      yield* perform({ label: this.#codec.name, async: () => this.#codec.load?.(), sync: () => undefined });
    }
    this.#isLoaded = true;
    const source = this.#state.scratch.take(length);
    try {
      if (offset > Number.MAX_SAFE_INTEGER - length) {
        source.fill(0);
      } else {
        yield* readStorage(this.#state.storage, IoVector.single(source), offset);
      }
      this.#codec.decompressInto(source, this.#cluster);
    } catch (error) {
      if (!isImgError(error, "ERR_IMG_CORRUPT")) {
        throw error;
      }
      this.#add(where, {
        kind: "compressed-data",
        message: `compressed cluster at host offset ${hex(offset)} of guest offset ${hex(where.guestOffset)}: ${error.message}`,
        repair: "none",
        hostOffset: offset,
      });
    }
  }

  #checkAnchors(cluster: number, where: EntryPlace): void {
    const { anchors } = this.#state;
    if (anchors?.metadata.has(cluster) === true || anchors?.tables.has(cluster) === true) {
      this.#shared(cluster, "it holds a table of the image", where, "copy");
    }
  }

  #shared(cluster: number, text: string, where: EntryPlace, repair: Finding["repair"] = "none"): void {
    const hostOffset = cluster * this.#state.clusterSize;
    this.#add(where, {
      kind: "shared-cluster",
      message: `guest offset ${hex(where.guestOffset)} lies in the cluster at host offset ${hex(hostOffset)}: ${text}`,
      repair,
      hostOffset,
      cluster,
    });
  }

  #add({ guestOffset, entryOffset, snapshot }: EntryPlace, finding: Omit<Finding, "severity">): void {
    this.#state.findings.add("corruption", () => ({
      ...finding,
      guestOffset,
      entryOffset,
      table: "l2",
      ...(snapshot === undefined ? {} : { snapshot }),
    }));
  }
}

/** Where an entry is. */
interface EntryPlace {
  readonly guestOffset: number;
  readonly entryOffset: number;
  readonly snapshot: string | undefined;
}
