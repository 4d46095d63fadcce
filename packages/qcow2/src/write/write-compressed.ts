import { IoVector } from "@img/io-vector";
import { ImgError, writeStorage, type Io } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import { compressedEntry } from "../tables/l2-entry.ts";
import { decodeState } from "./cluster-state.ts";
import type { CompressedSpace } from "./compressed-space.ts";
import { entryIndex, freeState, l1Index, pinSlice, type WriteContext } from "./write-context.ts";

/**
 * Writes a guest cluster compressed.
 * @param from - a whole cluster, or what the disk has of its last one
 * @returns `false`: it doesn't get smaller, nothing was done
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the image can't hold compressed clusters
 */
export function* writeCompressed(
  context: WriteContext,
  space: CompressedSpace,
  codec: ClusterCodec,
  from: IoVector,
  guest: number,
): Io<boolean> {
  const { layout } = context;
  if (layout.externalDataFile) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "an image with an external data file can't hold compressed clusters");
  }
  if (codec.compress === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `the ${codec.name} codec can't compress`);
  }
  const cluster = wholeCluster(from, layout.clusterSize);
  const compressed = codec.compress(cluster);
  if (compressed === undefined || compressed.length >= layout.clusterSize) {
    return false;
  }
  const unlock = yield* context.locks.acquire(guest, layout.clusterSize, true);
  try {
    yield* link(context, space, compressed, guest);
  } finally {
    unlock();
  }
  return true;
}

/** The cluster in one piece; behind the disk's end it is zero. */
function wholeCluster(from: IoVector, clusterSize: number): Uint8Array {
  const single = from.singleBuffer;
  if (single?.length === clusterSize) {
    return single;
  }
  const cluster = new Uint8Array(clusterSize);
  from.copyIntoSlice(cluster.subarray(0, from.length));
  return cluster;
}

function* link(context: WriteContext, space: CompressedSpace, compressed: Uint8Array, guest: number): Io<void> {
  const { layout, caches } = context;
  const l2Offset = yield* context.l2Tables.ensure(l1Index(context, guest));
  const slice = yield* pinSlice(context, l2Offset, guest);
  try {
    const index = entryIndex(context, slice, guest);
    const before = decodeState(slice.table.view, index, guest, layout);
    const place = yield* space.reserve(compressed.length);
    try {
      yield* writeStorage(context.storage, IoVector.from(compressed), place.offset);
    } catch (error) {
      place.abort();
      throw error;
    }
    place.commit();
    const entry = compressedEntry(place.offset, compressed.length, layout.clusterBits);
    const at = index * layout.entryLength;
    slice.table.view.setUint32(at, entry.high);
    slice.table.view.setUint32(at + 4, entry.low);
    if (layout.extended) {
      slice.table.view.setUint32(at + 8, 0);
      slice.table.view.setUint32(at + 12, 0);
    }
    freeState(context, before, false);
    caches.noteWrite();
    caches.l2.markDirty(slice.offset);
  } finally {
    caches.l2.unpin(slice.offset);
  }
}
