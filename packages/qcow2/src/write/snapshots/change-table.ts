import type { Io } from "@img/format-core";
import { loadSnapshots } from "../../snapshots/load-snapshots.ts";
import { serializeSnapshots, type SnapshotEntry } from "../../snapshots/serialize-snapshots.ts";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import { freeTable, writeTable } from "../table-space.ts";
import type { SnapshotTarget } from "./snapshot-target.ts";

/**
 * Points the header at a table with `snapshots`, which is durable then as everything else that was changed before. The old table's clusters wait to
 * be freed. If it fails, the image has the snapshots that it had.
 */
export function* changeTable(target: SnapshotTarget, snapshots: readonly SnapshotEntry[]): Io<void> {
  const { context, header, place: old } = target;
  const table = yield* writeTable(context, serializeSnapshots(snapshots, context.size));
  const place = { ...old, snapshotCount: snapshots.length, snapshotsOffset: table.offset };
  let written: readonly Snapshot[];
  try {
    written = yield* loadSnapshots(context.storage, place);
    yield* context.caches.flushAll();
    yield* context.caches.syncWritten();
  } catch (error) {
    table.free();
    throw error;
  }
  yield* header.change(
    () => header.setSnapshots(snapshots.length, table.offset),
    () => header.setSnapshots(old.snapshotCount, old.snapshotsOffset),
    table.free,
  );
  freeTable(
    context,
    old.snapshotsOffset,
    target.snapshots.reduce((sum, { entryLength }) => sum + entryLength, 0),
  );
  target.setSnapshots(written, place);
}
