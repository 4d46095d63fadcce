import { ImgError, type Io } from "@img/format-core";
import type { SnapshotEntry } from "../../snapshots/serialize-snapshots.ts";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import { writeTable } from "../table-space.ts";
import { changeTable } from "./change-table.ts";
import { lowerTree, markOwn, raiseTree, tryMarkOwn, withoutCopied } from "./disk-tree.ts";
import type { SnapshotTarget } from "./snapshot-target.ts";

/** What a new snapshot is called. */
export interface NewSnapshot {
  /** At most 65535 bytes as UTF-8. Snapshots may share a name; empty: it has none. */
  readonly name: string;
  /** When it was made. Default: now. */
  readonly date?: Date;
}

/**
 * Keeps the disk as it is now under a name. From then on nothing belongs to the disk alone, and what is written goes elsewhere. Until the header has it, a
 * power cut leaves clusters that are counted too often.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with an external data file, which has no place for two disks; `ERR_IMG_LIMIT` when refcounts aren't
 * wide enough or there are too many snapshots. The image is what it was.
 */
export function* createSnapshot(target: SnapshotTarget, { name, date }: NewSnapshot): Io<void> {
  const { context } = target;
  if (context.layout.externalDataFile) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "an image with an external data file has no snapshots");
  }
  yield* target.flush();
  const l1 = withoutCopied(context.caches.l1.bytes);
  yield* raiseTree(context, l1);
  try {
    yield* markOwn(context);
    const copy = yield* writeTable(context, l1);
    const milliseconds = (date ?? new Date()).getTime();
    const snapshot: SnapshotEntry = {
      id: nextId(target.snapshots),
      name,
      l1TableOffset: copy.offset,
      l1Size: l1.length / 8,
      dateSeconds: Math.floor(milliseconds / 1000) % 0x1_0000_0000,
      dateNanoseconds: (milliseconds % 1000) * 1_000_000,
      vmClock: 0n,
      vmStateSize: 0,
      diskSize: context.size,
      icount: 0n,
      unknownExtra: new Uint8Array(0),
    };
    try {
      yield* changeTable(target, [...target.snapshots, snapshot]);
    } catch (error) {
      copy.free();
      throw error;
    }
  } catch (error) {
    if (!target.isBroken()) {
      yield* rollBack(target, l1);
    }
    throw error;
  }
}

/** Undoes what a snapshot that isn't made has changed. Where that fails, clusters are counted too often: what failed first is what matters. */
function* rollBack(target: SnapshotTarget, l1: Uint8Array): Io<void> {
  try {
    yield* lowerTree(target.context, l1);
  } catch {
    // those that weren't lowered don't belong to the disk alone, as their counts say
  }
  yield* tryMarkOwn(target);
}

/** As QEMU counts: one more than the greatest that is a number. */
function nextId(snapshots: readonly Snapshot[]): string {
  const ids = snapshots.map(({ id }) => Number.parseInt(id, 10)).filter((id) => Number.isSafeInteger(id) && id >= 0);
  return String(ids.reduce((most, id) => Math.max(most, id), 0) + 1);
}
