import { ImgError, type Io } from "@img/format-core";
import { limits, sectorSize } from "../../header/layout.ts";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import { ResidentTable } from "../resident-table.ts";
import { freeTable, writeTable } from "../table-space.ts";
import { lowerTree, raiseTree, thenMarkOwn } from "./disk-tree.ts";
import { loadL1 } from "./load-l1.ts";
import type { SnapshotTarget } from "./snapshot-target.ts";

/**
 * Makes the disk what it was when a snapshot was made, its size included; what was written since is gone unless another snapshot has it. The snapshot
 * stays. The disk changes with one write of the header; a power cut before or after that leaves clusters that are counted too often.
 *
 * @throws ImgError `ERR_IMG_CORRUPT` when the snapshot's tables can't be; `ERR_IMG_LIMIT` when the refcounts aren't wide enough. The image is
 * what it was.
 */
export function* applySnapshot(target: SnapshotTarget, snapshot: Snapshot): Io<void> {
  const { context, header } = target;
  const { caches, size: oldSize } = context;
  const size = snapshot.diskSize ?? oldSize;
  if (size % sectorSize !== 0) {
    throw new ImgError("ERR_IMG_CORRUPT", `snapshot's disk of ${String(size)} bytes: expected whole sectors`);
  }
  yield* target.flush();
  const old = caches.l1;
  const l1 = yield* diskL1(target, snapshot, size);
  yield* raiseTree(context, l1);
  try {
    const table = yield* writeTable(context, l1);
    try {
      yield* caches.barrier();
    } catch (error) {
      table.free();
      throw error;
    }
    yield* header.change(
      () => header.setDisk({ size, l1Offset: table.offset, l1Size: l1.length / 8 }, target.cryptMethod),
      () => header.setDisk({ size: oldSize, l1Offset: old.offset, l1Size: old.length }, target.cryptMethod),
      table.free,
    );
    caches.replaceL1(new ResidentTable(context.storage, table.offset, l1));
    target.setSize(size);
  } catch (error) {
    if (!target.isBroken()) {
      yield* lowerTree(context, l1);
    }
    throw error;
  }
  yield* thenMarkOwn(target, function* () {
    yield* lowerTree(context, old.bytes);
    freeTable(context, old.offset, old.bytes.length);
    context.allocator.frees.noteIdle();
    yield* target.flush();
  });
}

/** The snapshot's L1 table, long enough for the disk. VM state stays behind it. */
function* diskL1({ context }: SnapshotTarget, snapshot: Snapshot, size: number): Io<Uint8Array> {
  const { clusterSize, entryLength } = context.layout;
  const bytes = yield* loadL1(context, snapshot);
  const needed = Math.ceil(size / ((clusterSize / entryLength) * clusterSize)) * 8;
  if (needed > limits.l1TableLength) {
    throw new ImgError("ERR_IMG_CORRUPT", `snapshot's disk of ${String(size)} bytes: an L1 table can't map it`);
  }
  if (bytes.length >= needed) {
    return bytes;
  }
  const longer = new Uint8Array(needed);
  longer.set(bytes);
  return longer;
}
