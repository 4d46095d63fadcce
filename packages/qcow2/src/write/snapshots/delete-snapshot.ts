import type { Io } from "@img/format-core";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import { freeTable } from "../table-space.ts";
import { changeTable } from "./change-table.ts";
import { lowerTree, thenMarkOwn } from "./disk-tree.ts";
import { loadL1 } from "./load-l1.ts";
import type { SnapshotTarget } from "./snapshot-target.ts";

/**
 * Forgets a snapshot, and frees what nobody else uses. The table goes first: a power cut after that leaves clusters that are counted too often.
 * @throws ImgError `ERR_IMG_CORRUPT` when its tables can't be; nothing was changed then. After other errors, the snapshot may be gone, and what it alone
 * used be lost to the image until it is repaired.
 */
export function* deleteSnapshot(target: SnapshotTarget, snapshot: Snapshot): Io<void> {
  const { context } = target;
  yield* target.flush();
  const l1 = yield* loadL1(context, snapshot);
  const snapshots = target.snapshots.filter((each) => each !== snapshot);
  yield* changeTable(target, snapshots);
  yield* thenMarkOwn(target, function* () {
    yield* lowerTree(context, l1);
    freeTable(context, snapshot.l1TableOffset, l1.length);
    context.allocator.frees.noteIdle();
    yield* target.flush();
  });
}
