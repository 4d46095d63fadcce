import { IoVector } from "@img/io-vector";
import { all, ImgError, perform, writeStorage, type Io } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import { compressedEntry } from "../tables/l2-entry.ts";
import { decodeState } from "./cluster-state.ts";
import type { CompressedSpace } from "./compressed-space.ts";
import { entryIndex, freeState, l1Index, pinSlice, type WriteContext } from "./write-context.ts";

/** Bytes of clusters that are compressed at once, and clusters. */
const mostAtOnce = { bytes: 4 * 1024 * 1024, clusters: 16 };

/** Where compressed clusters go. */
export interface CompressedTarget {
  readonly context: WriteContext;
  readonly space: CompressedSpace;
  /** Writes what doesn't get smaller. */
  writePlain(from: IoVector, offset: number): Io<void>;
}

/** A guest cluster on its way into the image. */
interface Squeezed {
  /** As it is; the disk's last one may be shorter. */
  readonly plain: IoVector;
  readonly guest: number;
  /** `undefined`: it doesn't get smaller. */
  readonly compressed: Uint8Array | undefined;
}

/**
 * Writes guest clusters compressed: several are compressed at once where the codec has threads, and stored one after the other.
 * @param from - whole clusters; the disk's last one may be shorter
 */
export function* writeCompressed(
  target: CompressedTarget,
  codec: ClusterCodec,
  from: IoVector,
  offset: number,
): Io<void> {
  const { clusterSize } = target.context.layout;
  const batch = atOnce(clusterSize);
  for (let done = 0; done < from.length; done += batch) {
    const part = from.slice(done, Math.min(done + batch, from.length));
    yield* storeAll(target, yield* compressAll(clusterSize, codec, part, offset + done));
  }
}

/** Compresses guest clusters as {@link writeCompressed} does; the answer stores them. */
export function* prepareCompressed(
  clusterSize: number,
  codec: ClusterCodec,
  from: IoVector,
  offset: number,
): Io<(target: CompressedTarget) => Io<void>> {
  const batch = atOnce(clusterSize);
  const squeezed: Squeezed[] = [];
  for (let done = 0; done < from.length; done += batch) {
    const part = from.slice(done, Math.min(done + batch, from.length));
    squeezed.push(...(yield* compressAll(clusterSize, codec, part, offset + done)));
  }
  return (target) => storeAll(target, squeezed);
}

function atOnce(clusterSize: number): number {
  return clusterSize * Math.max(2, Math.min(mostAtOnce.clusters, mostAtOnce.bytes / clusterSize));
}

function* compressAll(clusterSize: number, codec: ClusterCodec, from: IoVector, offset: number): Io<Squeezed[]> {
  const parts = splitClusters(from, clusterSize);
  const compressed = yield* all(parts.map((part) => compress(codec, wholeCluster(part, clusterSize))));
  return parts.map((plain, index) => ({ plain, guest: offset + index * clusterSize, compressed: compressed[index] }));
}

function* storeAll(target: CompressedTarget, squeezed: readonly Squeezed[]): Io<void> {
  for (const { plain, guest, compressed } of squeezed) {
    yield* compressed === undefined ? target.writePlain(plain, guest) : store(target, compressed, guest);
  }
}

function splitClusters(from: IoVector, clusterSize: number): IoVector[] {
  const count = Math.ceil(from.length / clusterSize);
  return Array.from({ length: count }, (_, index) =>
    from.slice(index * clusterSize, Math.min((index + 1) * clusterSize, from.length)),
  );
}

function* compress(codec: ClusterCodec, cluster: Uint8Array): Io<Uint8Array | undefined> {
  const here = (): Uint8Array | undefined => {
    if (codec.compress === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `the ${codec.name} codec can't compress`);
    }
    return codec.compress(cluster);
  };
  const compressed = yield* perform({
    label: codec.name,
    async: () => (codec.compressAsync === undefined ? here() : codec.compressAsync(cluster)),
    sync: here,
  });
  return compressed === undefined || compressed.length >= cluster.length ? undefined : compressed;
}

function* store({ context, space }: CompressedTarget, compressed: Uint8Array, guest: number): Io<void> {
  const { layout } = context;
  const unlock = yield* context.locks.acquire(guest, layout.clusterSize, true);
  try {
    yield* link(context, space, compressed, guest);
  } finally {
    unlock();
  }
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
