import { hex, ImgError, type Io } from "@img/format-core";
import { compressedCluster, compressedFlag, copiedFlag, entryOffset } from "../../tables/l2-entry.ts";
import type { PendingFree } from "../pending-frees.ts";
import type { WriteContext } from "../write-context.ts";
import type { SnapshotTarget } from "./snapshot-target.ts";

/** References that are counted down at once. */
const batchLength = 4096;

/** One reference from a disk's tables to a host cluster; of a compressed cluster, to each cluster that it touches. */
type Reference = PendingFree;

/**
 * Everything that the L1 table `l1` leads to, table by table: first the L2 table itself, then what its entries point at.
 * @throws ImgError `ERR_IMG_CORRUPT` for entries that can't be
 */
function* forEachTable(
  context: WriteContext,
  l1: Uint8Array,
  visit: (references: readonly Reference[]) => Io<void>,
): Io<void> {
  for (const offset of tableOffsets(context, l1)) {
    const references: Reference[] = [{ cluster: offset / context.layout.clusterSize, use: "table", discard: true }];
    for (let at = offset; at < offset + context.layout.clusterSize; at += context.caches.sliceLength) {
      const { view } = yield* context.caches.l2.get(at);
      addReferences(context, view, references);
    }
    yield* visit(references);
  }
}

/**
 * Host offsets of the L2 tables that an L1 table points at.
 * @throws ImgError `ERR_IMG_CORRUPT` for one that isn't cluster-aligned
 */
export function tableOffsets({ layout }: WriteContext, l1: Uint8Array): number[] {
  const view = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
  const offsets: number[] = [];
  for (let at = 0; at < l1.length; at += 8) {
    const offset = entryOffset(view.getUint32(at), view.getUint32(at + 4));
    if (offset % layout.clusterSize !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `L2 table ${String(at / 8)} at host offset ${hex(offset)}: not cluster-aligned`,
      );
    }
    if (offset !== 0) {
      offsets.push(offset);
    }
  }
  return offsets;
}

function addReferences({ layout }: WriteContext, view: DataView, references: Reference[]): void {
  const { clusterSize } = layout;
  for (let at = 0; at < view.byteLength; at += layout.entryLength) {
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high & compressedFlag) !== 0) {
      const { offset, length } = compressedCluster(high, low, layout.clusterBits);
      const first = Math.floor(offset / clusterSize);
      const last = Math.floor((offset + length - 1) / clusterSize);
      for (let cluster = first; cluster <= last; cluster++) {
        references.push({
          cluster,
          use: "compressed",
          discard: true,
          ...(cluster === first ? { compressed: offset } : {}),
        });
      }
      continue;
    }
    const offset = entryOffset(high, low);
    if (offset % clusterSize !== 0) {
      throw new ImgError("ERR_IMG_CORRUPT", `data cluster at host offset ${hex(offset)}: not cluster-aligned`);
    }
    if (offset !== 0) {
      references.push({ cluster: offset / clusterSize, use: "data", discard: true });
    }
  }
}

/**
 * Counts another reference to everything that `l1` leads to. All, or nothing.
 * @throws ImgError `ERR_IMG_LIMIT` when the image's refcounts aren't wide enough; `ERR_IMG_CORRUPT` for tables that can't be
 */
export function* raiseTree(context: WriteContext, l1: Uint8Array): Io<void> {
  let raised = 0;
  try {
    yield* forEachTable(context, l1, function* (references) {
      for (const { cluster } of references) {
        yield* context.allocator.raise(cluster);
        raised++;
      }
    });
  } catch (error) {
    yield* lowerTree(context, l1, raised);
    throw error;
  }
}

/**
 * Counts a reference less to everything that `l1` leads to, or to the first `most` of it. What nobody needs any more can be handed out again at
 * once: on disk, nothing may lead there through `l1` any more.
 */
export function* lowerTree(context: WriteContext, l1: Uint8Array, most: number = Infinity): Io<void> {
  let waiting: Reference[] = [];
  let left = most;
  const lower = function* (): Io<void> {
    const batch = waiting;
    waiting = [];
    for (const reference of batch) {
      context.allocator.frees.hold(reference);
    }
    yield* context.allocator.applyFrees(batch);
  };
  yield* forEachTable(context, l1, function* (references) {
    // the table itself last: it is read no more when it is free
    const [table, ...entries] = references.slice(0, Math.max(0, left));
    left -= references.length;
    waiting = waiting.concat(entries);
    if (table !== undefined) {
      waiting.push(table);
    }
    if (waiting.length >= batchLength) {
      yield* lower();
    }
  });
  yield* lower();
}

/** Says in each entry of the disk's tables whether what it points at belongs to it alone, as the refcounts have it. */
export function* markOwn(context: WriteContext): Io<void> {
  const { allocator, caches, layout } = context;
  const { l1 } = caches;
  for (let index = 0; index < l1.length; index++) {
    const high = l1.view.getUint32(index * 8);
    const low = l1.view.getUint32(index * 8 + 4);
    const offset = entryOffset(high, low);
    if (offset === 0) {
      continue;
    }
    for (let at = offset; at < offset + layout.clusterSize; at += caches.sliceLength) {
      yield* markOwnSlice(context, at);
    }
    const own = (yield* allocator.refcount(offset / layout.clusterSize)) === 1;
    if (own !== ((high & copiedFlag) !== 0)) {
      l1.set(index, withCopied(high, own), low);
    }
  }
}

/** Runs what lowers refcounts, and then {@link markOwn}: after a failure too, as far as that can be done. */
export function* thenMarkOwn(target: SnapshotTarget, lower: () => Io<void>): Io<void> {
  try {
    yield* lower();
    yield* markOwn(target.context);
  } catch (error) {
    yield* tryMarkOwn(target);
    throw error;
  }
}

/**
 * {@link markOwn} after something failed that lowers refcounts: what is left of it is done, if that can be, for the marks follow it. A mark that is missing
 * costs a copy, and a check finds it.
 */
export function* tryMarkOwn(target: SnapshotTarget): Io<void> {
  for (const step of [() => target.flush(), () => markOwn(target.context)]) {
    try {
      if (!target.isBroken()) {
        yield* step();
      }
    } catch {
      // what failed first is being reported
    }
  }
}

function* markOwnSlice({ allocator, caches, layout }: WriteContext, sliceOffset: number): Io<void> {
  const { view } = yield* caches.l2.get(sliceOffset);
  caches.l2.pin(sliceOffset);
  try {
    let changed = false;
    for (let at = 0; at < view.byteLength; at += layout.entryLength) {
      const high = view.getUint32(at);
      const offset = (high & compressedFlag) === 0 ? entryOffset(high, view.getUint32(at + 4)) : 0;
      if (offset !== 0) {
        const cluster = offset / layout.clusterSize;
        const own = (allocator.peekRefcount(cluster) ?? (yield* allocator.refcount(cluster))) === 1;
        if (own !== ((high & copiedFlag) !== 0)) {
          view.setUint32(at, withCopied(high, own));
          changed = true;
        }
      }
    }
    if (changed) {
      caches.l2.markDirty(sliceOffset);
    }
  } finally {
    caches.l2.unpin(sliceOffset);
  }
}

function withCopied(high: number, own: boolean): number {
  return (own ? high | copiedFlag : high & ~copiedFlag) >>> 0;
}

/** An L1 table whose entries say that nothing belongs to it alone. */
export function withoutCopied(l1: Uint8Array): Uint8Array {
  const copy = l1.slice();
  for (let at = 0; at < copy.length; at += 8) {
    copy[at] = (copy[at] ?? 0) & 0x7f;
  }
  return copy;
}
