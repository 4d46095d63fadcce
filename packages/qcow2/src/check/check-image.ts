import { codecs as defaultCodecs } from "#codecs";
import type { Io, Storage } from "@img/format-core";
import { autoclear, hasFeature } from "../header/features.ts";
import { cryptMethods } from "../header/header.ts";
import { sectorSize } from "../header/layout.ts";
import { loadHeader, type LoadedHeader } from "../header/load-header.ts";
import { entryLayout } from "../image-tables.ts";
import { referBitmaps } from "./bitmap-references.ts";
import type { CheckOptions } from "./check-options.ts";
import type { CheckResult } from "./check-result.ts";
import { deepCheck } from "./deep-check.ts";
import { CheckState, type CheckWants } from "./check-state.ts";
import { compareRefcounts } from "./compare-refcounts.ts";
import { Findings } from "./findings.ts";
import { L1Walk, type L1Place } from "./l1-walk.ts";
import { referRefcountBlocks } from "./refcount-block-references.ts";
import { checkSnapshotL1, loadSnapshotTable, type SnapshotTable } from "./snapshot-references.ts";

const defaultMaxFindings = 1000;

/**
 * Checks the metadata of the qcow2 image in `storage` as `qemu-img check` does, and changes nothing. It reads what the storage holds: changes
 * that an open image still keeps in memory have to be flushed first. Neither a backing image nor an external data file is opened; guest
 * data isn't looked at, but for what a deep check does.
 *
 * Images that are dirty, marked as corrupt, encrypted, or without a refcount table can be checked. Beyond what QEMU finds, it
 * compares the refcounts of clusters past the end of the file that something refers to; it finds bit 0 where it isn't the zero flag, and clusters of
 * an external data file that are out of place; and a compressed cluster with subclusters isn't lost to it.
 *
 * Memory: about a byte for each host cluster.
 * @throws ImgError `ERR_IMG_UNKNOWN_FORMAT`, `ERR_IMG_UNSUPPORTED` and `ERR_IMG_CORRUPT` when the header makes no sense; `ERR_IMG_LIMIT` for 2^31 host
 * clusters or more; the host's errors.
 */
export function* checkImage(storage: Storage, options: CheckOptions = {}): Io<CheckResult> {
  const findings = new Findings(options.maxFindings ?? defaultMaxFindings, options.onFinding);
  const deep = options.deep === true;
  const walked = yield* countReferences(storage, findings, { anchors: deep });
  if (deep) {
    yield* deepCheck(walked, (type) => options.codecs?.[type] ?? defaultCodecs[type]);
  }
  return checkResult(findings, walked);
}

/** What a walk found. */
export function checkResult(findings: Findings, { state, end }: CheckWalk): CheckResult {
  return {
    corruptions: findings.corruptions,
    leaks: findings.leaks,
    checkErrors: findings.errors,
    complete: state.complete,
    findings: findings.list,
    imageEndOffset: end,
    totalClusters: state.totalClusters,
    allocatedClusters: state.allocatedClusters,
    fragmentedClusters: state.fragmentedClusters,
    compressedClusters: state.compressedClusters,
  };
}

/** What the walk under a check leaves behind. */
export interface CheckWalk {
  readonly state: CheckState;
  readonly loaded: LoadedHeader;
  /** The snapshots; `undefined`: their table can't be read, and nothing was counted. */
  readonly table: SnapshotTable | undefined;
  /** The L1 tables that were walked: the active one first. */
  readonly trees: readonly L1Place[];
  /** End of the last host cluster that is in use, bytes. */
  readonly end: number;
}

/** The walk under a check. */
export function* countReferences(storage: Storage, findings: Findings, wants: CheckWants): Io<CheckWalk> {
  const loaded = yield* loadHeader(storage, { forCheck: true });
  const { header } = loaded;
  const state = new CheckState(storage, header, entryLayout(header), findings, wants);
  const snapshots = yield* loadSnapshotTable(state);
  if (snapshots === undefined) {
    state.complete = false;
    return { state, loaded, table: undefined, trees: [], end: 0 };
  }
  state.totalClusters = Math.ceil((header.size - (header.size % sectorSize)) / state.clusterSize);
  yield* state.recorded.load(state.fileClusters + 1, state.scratch);
  const trees = yield* referEverything(state, loaded, snapshots);
  const highest = yield* compareRefcounts(state);
  return { state, loaded, table: snapshots, trees, end: (highest + 1) * state.clusterSize };
}

function* referEverything(state: CheckState, loaded: LoadedHeader, table: SnapshotTable): Io<readonly L1Place[]> {
  const { header, known } = loaded;
  state.refer(0, state.clusterSize, "header");
  const walk = new L1Walk(state);
  const trees: L1Place[] = [{ offset: header.l1TableOffset, size: header.l1Size, snapshot: undefined }];
  yield* walk.walk({ offset: header.l1TableOffset, size: header.l1Size, snapshot: undefined });
  if (state.layout.externalDataFile && table.snapshots.length > 0) {
    state.findings.add("corruption", () => ({
      kind: "external-snapshots",
      message: `${String(table.snapshots.length)} snapshots in an image with an external data file`,
      repair: "none",
    }));
  }
  for (const snapshot of table.snapshots) {
    if (checkSnapshotL1(state, snapshot)) {
      const place = { offset: snapshot.offset, size: snapshot.size, snapshot: snapshot.id };
      trees.push(place);
      yield* walk.walk(place);
    }
  }
  state.refer(header.snapshotsOffset, table.length, "snapshot");
  const refcountTableLength = header.refcountTableClusters * state.clusterSize;
  state.refer(header.refcountTableOffset, refcountTableLength, "refcount-table");
  if (known.crypto !== undefined) {
    state.refer(known.crypto.offset, known.crypto.length, "crypto");
  } else if (header.cryptMethod === cryptMethods.luks) {
    // without the keys, which are in clusters that look unused, all data is lost
    state.complete = false;
  }
  // a writer that doesn't know bitmaps clears the bit: what it leaves behind means nothing
  if (known.bitmaps !== undefined && hasFeature(header.autoclearFeatures, autoclear.bitmaps)) {
    yield* referBitmaps(state, known.bitmaps);
  }
  referRefcountBlocks(state);
  return trees;
}
