import type { Io, Storage } from "@img/format-core";
import { autoclear, hasFeature } from "../header/features.ts";
import { sectorSize } from "../header/layout.ts";
import { loadHeader, type LoadedHeader } from "../header/load-header.ts";
import { entryLayout } from "../image-tables.ts";
import { referBitmaps } from "./bitmap-references.ts";
import type { CheckOptions } from "./check-options.ts";
import type { CheckResult } from "./check-result.ts";
import { CheckState } from "./check-state.ts";
import { compareRefcounts } from "./compare-refcounts.ts";
import { Findings } from "./findings.ts";
import { L1Walk } from "./l1-walk.ts";
import { referRefcountBlocks } from "./refcount-block-references.ts";
import { checkSnapshotL1, loadSnapshotTable, type SnapshotTable } from "./snapshot-references.ts";

const defaultMaxFindings = 1000;

/**
 * Checks the metadata of the qcow2 image in `storage` as `qemu-img check` does, and changes nothing. It reads what the storage holds: changes
 * that an open image still keeps in memory have to be flushed first. Neither a backing image nor an external data file is opened; guest
 * data isn't looked at.
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
  const { state, end } = yield* countReferences(storage, findings, false);
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

/**
 * The walk under a check.
 * @param wantsKinds - whether to find out what each cluster is used for
 */
export function* countReferences(
  storage: Storage,
  findings: Findings,
  wantsKinds: boolean,
): Io<{ readonly state: CheckState; readonly end: number }> {
  const loaded = yield* loadHeader(storage, { forCheck: true });
  const { header } = loaded;
  const state = new CheckState(storage, header, entryLayout(header), findings, { kinds: wantsKinds });
  const snapshots = yield* loadSnapshotTable(state);
  if (snapshots === undefined) {
    state.complete = false;
    return { state, end: 0 };
  }
  state.totalClusters = Math.ceil((header.size - (header.size % sectorSize)) / state.clusterSize);
  yield* state.recorded.load(state.fileClusters + 1, state.scratch);
  yield* referEverything(state, loaded, snapshots);
  const highest = yield* compareRefcounts(state);
  return { state, end: (highest + 1) * state.clusterSize };
}

function* referEverything(state: CheckState, loaded: LoadedHeader, table: SnapshotTable): Io<void> {
  const { header, known } = loaded;
  state.refer(0, state.clusterSize, "header", -1, -1);
  const walk = new L1Walk(state);
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
      yield* walk.walk({ offset: snapshot.offset, size: snapshot.size, snapshot: snapshot.id });
    }
  }
  state.refer(header.snapshotsOffset, table.length, "snapshot", -1, -1);
  const refcountTableLength = header.refcountTableClusters * state.clusterSize;
  state.refer(header.refcountTableOffset, refcountTableLength, "refcount-table", -1, -1);
  if (known.crypto !== undefined) {
    state.refer(known.crypto.offset, known.crypto.length, "crypto", -1, -1);
  }
  // a writer that doesn't know bitmaps clears the bit: what it leaves behind means nothing
  if (known.bitmaps !== undefined && hasFeature(header.autoclearFeatures, autoclear.bitmaps)) {
    yield* referBitmaps(state, known.bitmaps);
  }
  referRefcountBlocks(state);
}
