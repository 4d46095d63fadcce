import { hex, type Storage } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import { greatestRefcount } from "../refcounts/refcount.ts";
import type { L2EntryLayout } from "../tables/l2-entry.ts";
import { Anchors } from "./anchors.ts";
import { clusterKindNumber, type ClusterKind } from "./cluster-kind.ts";
import type { Repair } from "./finding.ts";
import type { Findings } from "./findings.ts";
import { RecordedRefcounts } from "./recorded-refcounts.ts";
import { ReferenceCounts } from "./reference-counts.ts";
import { ScratchBuffer } from "./scratch-buffer.ts";

/** References past the end of the file that are remembered one by one. */
const mostBeyond = 65536;

/** What a walk is to find out beside the references. */
export interface CheckWants {
  /** What each cluster is used for. */
  readonly kinds?: boolean;
  /** Which clusters hold tables. */
  readonly anchors?: boolean;
}

/** Where a reference comes from that isn't from an entry: the header, a directory. */
const noEntry = -1;

/** What the parts of a check share. */
export class CheckState {
  readonly storage: Storage;
  readonly header: Qcow2Header;
  readonly layout: L2EntryLayout;
  readonly clusterSize: number;
  /** Length of the file when the check began, bytes. */
  readonly fileSize: number;
  /** Clusters of the file, a partial one at its end included. */
  readonly fileClusters: number;
  readonly findings: Findings;
  readonly references: ReferenceCounts;
  readonly recorded: RecordedRefcounts;
  /** For tables that are looked through at once. */
  readonly scratch: ScratchBuffer = new ScratchBuffer();
  /** What each cluster is used for, as numbers of kinds; `undefined`: nobody wants to know. */
  readonly kinds: Uint8Array | undefined;
  /** References to clusters that hold tables, by those who know them as such; `undefined`: nobody wants to know. */
  readonly anchors: Anchors | undefined;
  /** Clusters whose refcounts are compared: those of the file, and one more when compressed data reaches into it. */
  comparedClusters: number;
  /** References to clusters past the end of the file. */
  readonly beyond: Map<number, number> = new Map<number, number>();
  /** What waits for the refcount of a cluster past the end of the file. */
  readonly waiting: { readonly cluster: number; readonly judge: (refcount: number) => void }[] = [];
  /** Whether everything that may refer to clusters was understood. */
  complete = true;
  /** The file ends inside of the last cluster of a table. */
  cutTable = false;
  totalClusters = 0;
  allocatedClusters = 0;
  fragmentedClusters = 0;
  compressedClusters = 0;

  constructor(storage: Storage, header: Qcow2Header, layout: L2EntryLayout, findings: Findings, wants: CheckWants) {
    this.storage = storage;
    this.header = header;
    this.layout = layout;
    this.clusterSize = layout.clusterSize;
    this.fileSize = storage.size;
    this.fileClusters = Math.ceil(this.fileSize / this.clusterSize);
    this.comparedClusters = this.fileClusters;
    this.findings = findings;
    this.references = new ReferenceCounts(this.fileClusters + 1, greatestRefcount(header.refcountOrder));
    this.recorded = new RecordedRefcounts(storage, header);
    this.kinds = wants.kinds === true ? new Uint8Array(this.fileClusters + 1) : undefined;
    this.anchors = wants.anchors === true ? new Anchors() : undefined;
  }

  /**
   * Counts a reference to every cluster that a range touches. The end of the file may lie inside of the last one; what reaches further is a
   * corruption, and remembered apart.
   * @param guestOffset - −1: it isn't about guest data
   * @param entryOffset - where the entry lies; −1: it isn't one
   * @param table - what the entry is in; `undefined`: neither
   * @param repair - what helps if it is past the end
   */
  refer(
    offset: number,
    length: number,
    kind: ClusterKind,
    guestOffset: number = noEntry,
    entryOffset: number = noEntry,
    table?: "l1" | "l2",
    repair: Repair = "none",
  ): void {
    if (length === 0) {
      return;
    }
    const first = Math.floor(offset / this.clusterSize);
    // places near 2^56 are multiples of 8 at best: subtracting 1 byte would not change them
    const last = Math.ceil((offset + length) / this.clusterSize) - 1;
    if (offset + length - this.fileSize >= this.clusterSize) {
      this.#referBeyond(offset, length, kind, guestOffset, entryOffset, table, repair);
      this.#rememberBeyond(first, last);
      return;
    }
    for (let cluster = first; cluster <= last; cluster++) {
      this.#count(cluster, kind, guestOffset);
      if (table === undefined) {
        this.anchors?.addMetadata(cluster, kind);
      }
    }
    this.comparedClusters = Math.max(this.comparedClusters, last + 1);
  }

  /** Says of a reference that was counted that nobody can read what it is to. */
  noteUnreadable(offset: number, length: number): void {
    if (offset + length - this.fileSize < this.clusterSize) {
      this.anchors?.addUnreadable(offset, length, this.clusterSize);
    }
  }

  /**
   * Looks whether all of a table is there. What is behind the file's end reads as zero, as if there were no entries, and whatever these referred to looks
   * unused.
   */
  noteTable(offset: number, length: number): void {
    const end = offset + length;
    if (length > 0 && end > this.fileSize) {
      this.complete = false;
      this.cutTable ||= offset < this.fileSize && end <= this.fileClusters * this.clusterSize;
    }
  }

  /** Whether the recorded refcount of a cluster of the file is 1. */
  isOne(cluster: number): boolean {
    return (((this.recorded.ones[Math.floor(cluster / 8)] ?? 0) >>> (cluster % 8)) & 1) === 1;
  }

  /** Has something judged once the refcount of a cluster past the end of the file is read. Of very many, some are forgotten. */
  judgeLater(cluster: number, judge: (refcount: number) => void): void {
    if (this.waiting.length < mostBeyond) {
      this.waiting.push({ cluster, judge });
    }
  }

  #count(cluster: number, kind: ClusterKind, guestOffset: number): void {
    if (!this.references.increment(cluster)) {
      this.findings.add("corruption", () => ({
        kind: "refcount-overflow",
        message: `cluster at host offset ${hex(cluster * this.clusterSize)} has more references than refcounts of ${String(2 ** this.header.refcountOrder)} bits can count`,
        // what else lies there must not be changed as if it were refcounts
        repair: kind === "refcount-block" ? "rebuild-refcounts" : "copy",
        hostOffset: cluster * this.clusterSize,
        ...(guestOffset < 0 ? {} : { guestOffset }),
      }));
      this.anchors?.crowded.add(cluster);
    }
    if (this.kinds?.[cluster] === 0) {
      this.kinds[cluster] = clusterKindNumber(kind);
    }
  }

  #referBeyond(
    offset: number,
    length: number,
    kind: ClusterKind,
    guestOffset: number,
    entryOffset: number,
    table: "l1" | "l2" | undefined,
    repair: Repair,
  ): void {
    this.findings.add("corruption", () => ({
      kind: "beyond-end",
      message: `${kind} of ${String(length)} bytes at host offset ${hex(offset)}: the file ends at ${hex(this.fileSize)}`,
      repair,
      hostOffset: offset,
      ...(guestOffset < 0 ? {} : { guestOffset }),
      ...(entryOffset < 0 ? {} : { entryOffset }),
      ...(table === undefined ? {} : { table }),
    }));
  }

  #rememberBeyond(first: number, last: number): void {
    for (let cluster = first; cluster <= last; cluster++) {
      if (cluster < this.fileClusters) {
        this.references.increment(cluster);
      } else if (this.beyond.size < mostBeyond || this.beyond.has(cluster)) {
        this.beyond.set(cluster, (this.beyond.get(cluster) ?? 0) + 1);
      } else {
        // nobody knows any more what isn't referred to there
        this.complete = false;
        return;
      }
    }
  }
}
