import { discardStorage, type Io } from "@img/format-core";
import type { LoadedHeader } from "../header/load-header.ts";
import type { HeaderContents } from "../header/serialize-header.ts";
import type { Qcow2Info } from "../qcow2-info.ts";
import type { HeaderPlace } from "../write/replace-header.ts";
import { changeTable } from "../write/snapshots/change-table.ts";
import { loadL1 } from "../write/snapshots/load-l1.ts";
import type { SnapshotTarget } from "../write/snapshots/snapshot-target.ts";
import type { OnAmendProgress, Qcow2AmendOptions } from "./amend-options.ts";
import { amendedHeader, downgradedHeader, upgradedHeader } from "./amended-header.ts";
import { changeRefcountWidth } from "./change-refcount-width.ts";
import { checkAmend, type Amendment } from "./check-amend.ts";
import { checkClusters } from "./check-clusters.ts";
import { expandZeroes } from "./expand-zeroes.ts";

/** The image that is amended. Nobody else reads or writes it meanwhile. */
export interface AmendTarget {
  /** What the image is now; so are the others below. */
  readonly info: Qcow2Info;
  /** Prepares the image for changes of its tables. */
  tables(): Io<SnapshotTarget>;
  /** Writes everything that was changed, durably; {@link reload} has to follow changes of the header. */
  settle(): Io<void>;
  /** The header as it is on disk. */
  place(): Io<HeaderPlace>;
  /** Replaces the header, durably and all at once, and reads the image anew. */
  rewriteHeader(next: (loaded: LoadedHeader) => HeaderContents): Io<void>;
  /** Reads the header and the tables anew, after a change of the header; if that fails, nothing is written any more. */
  reload(): Io<void>;
}

/**
 * Changes what an image is, step by step, in QEMU's order: to version 3, the width of refcounts, what is in the header alone, to version 2. Each step is done
 * all at once, or leaves only what is as good as before: a power cut leaves a sound image with the same disk.
 *
 * @throws ImgError as `checkAmend`, `checkClusters` and `changeRefcountWidth`; `ERR_IMG_NO_SPACE` when the first cluster has no room for the header
 */
export function* amendImage(target: AmendTarget, options: Qcow2AmendOptions, onProgress: OnAmendProgress): Io<void> {
  const amendment = checkAmend(target.info, options);
  yield* target.settle();
  if (amendment.version === 3 && target.info.version === 2) {
    yield* upgrade(target);
  }
  if (amendment.refcountBits !== target.info.refcountBits) {
    yield* begin(target);
    const place = yield* target.place();
    const dropped = yield* changeRefcountWidth(place, Math.log2(amendment.refcountBits), onProgress);
    yield* target.reload();
    yield* discardDropped(place, dropped);
  }
  if (differs(target.info, amendment)) {
    yield* target.rewriteHeader((loaded) => amendedHeader(loaded, amendment));
  }
  if (amendment.version === 2 && target.info.version === 3) {
    yield* downgrade(target, onProgress);
  }
}

/** Has the header say what it has to say before the first change; what is rewritten of it says that anyway. */
function* begin(target: AmendTarget): Io<void> {
  yield* target.tables();
  yield* target.settle();
}

/** Advice for the host: what it makes of it doesn't matter. */
function* discardDropped({ storage, loaded }: HeaderPlace, dropped: Iterable<number>): Io<void> {
  const clusterSize = 2 ** loaded.header.clusterBits;
  try {
    for (const cluster of dropped) {
      yield* discardStorage(storage, cluster * clusterSize, clusterSize);
    }
  } catch {
    // the image is what it was to become
  }
}

function differs(info: Qcow2Info, { lazyRefcounts, dataFileName, dataFileRaw }: Amendment): boolean {
  return lazyRefcounts !== info.lazyRefcounts || dataFileName !== info.dataFile || dataFileRaw !== info.dataFileRaw;
}

/** Version 3 wants to know how large the disks of snapshots are. */
function* upgrade(target: AmendTarget): Io<void> {
  const tables = yield* target.tables();
  yield* checkClusters(tables.context, yield* allL1s(tables), true);
  if (tables.snapshots.length > 0) {
    yield* changeTable(tables, tables.snapshots);
    tables.context.allocator.frees.noteIdle();
    yield* target.settle();
  }
  yield* target.rewriteHeader(upgradedHeader);
}

function* downgrade(target: AmendTarget, onProgress: OnAmendProgress): Io<void> {
  const { info } = target;
  const tables = yield* target.tables();
  const { context } = tables;
  const [, ...snapshots] = yield* allL1s(tables);
  yield* checkClusters(context, [context.caches.l1.bytes, ...snapshots], info.compressionType === "zlib");
  const backed = context.backed || info.backingFile !== undefined;
  yield* expandZeroes(context, backed, snapshots, () => tables.flush(), onProgress);
  context.allocator.frees.noteIdle();
  yield* target.settle();
  yield* target.rewriteHeader(downgradedHeader);
}

/** L1 tables of the disk, and of each snapshot. */
function* allL1s({ context, snapshots }: SnapshotTarget): Io<readonly Uint8Array[]> {
  const l1s: Uint8Array[] = [context.caches.l1.bytes];
  for (const snapshot of snapshots) {
    l1s.push(yield* loadL1(context, snapshot));
  }
  return l1s;
}
