import { IoVector } from "@img/io-vector";
import { all, ImgError, perform, writeStorage, type Io } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import { compressedEntry, type L2EntryLayout } from "../tables/l2-entry.ts";
import { decodeState } from "./cluster-state.ts";
import type { CompressedPlace, CompressedSpace } from "./compressed-space.ts";
import { entryIndex, freeState, l1Index, pinSlice, type WriteContext } from "./write-context.ts";

/** Bytes of clusters that are compressed at once, and clusters. */
const mostAtOnce = { bytes: 4 * 1024 * 1024, clusters: 16 };

/** Where compressed clusters go. */
export interface CompressedTarget {
  readonly context: WriteContext;
  readonly space: Pick<CompressedSpace, "reserve">;
  /** Writes what doesn't get smaller. */
  writePlain(from: IoVector, offset: number): Io<void>;
}

/** Guest clusters on their way into the image. */
interface Squeezed {
  /** As they are; the disk's last one may be shorter. */
  readonly plain: IoVector;
  /** Guest offset of the first. */
  readonly offset: number;
  /** One for each; `undefined`: it doesn't get smaller. */
  readonly compressed: readonly (Uint8Array | undefined)[];
}

/**
 * Writes guest clusters compressed: several are compressed at once where the codec has threads, and stored together.
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
    const plain = from.slice(done, Math.min(done + batch, from.length));
    const compressed = yield* compressAll(clusterSize, codec, plain);
    yield* storeAll(target, { plain, offset: offset + done, compressed });
  }
}

/** Compresses guest clusters as {@link writeCompressed} does; the answer stores them. */
export function* prepareCompressed(
  clusterSize: number,
  codec: ClusterCodec,
  plain: IoVector,
  offset: number,
): Io<(target: CompressedTarget) => Io<void>> {
  const batch = atOnce(clusterSize);
  const compressed: (Uint8Array | undefined)[] = [];
  for (let done = 0; done < plain.length; done += batch) {
    const part = plain.slice(done, Math.min(done + batch, plain.length));
    compressed.push(...(yield* compressAll(clusterSize, codec, part)));
  }
  return (target) => storeAll(target, { plain, offset, compressed });
}

function atOnce(clusterSize: number): number {
  return clusterSize * Math.max(2, Math.min(mostAtOnce.clusters, mostAtOnce.bytes / clusterSize));
}

function compressAll(clusterSize: number, codec: ClusterCodec, from: IoVector): Io<(Uint8Array | undefined)[]> {
  return all(splitClusters(from, clusterSize).map((part) => compress(codec, wholeCluster(part, clusterSize))));
}

/** Stores what got smaller, and what didn't, in runs as long as can be. */
function* storeAll(target: CompressedTarget, { plain, offset, compressed }: Squeezed): Io<void> {
  const { clusterSize } = target.context.layout;
  for (let start = 0, end; start < compressed.length; start = end) {
    const smaller: Uint8Array[] = [];
    for (end = start; end < compressed.length; end++) {
      const cluster = compressed[end];
      if (end > start && (cluster === undefined) !== (smaller.length === 0)) {
        break;
      }
      if (cluster !== undefined) {
        smaller.push(cluster);
      }
    }
    const guest = offset + start * clusterSize;
    yield* smaller.length === 0
      ? target.writePlain(plain.slice(start * clusterSize, Math.min(end * clusterSize, plain.length)), guest)
      : store(target, smaller, guest);
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

/** Stores compressed guest clusters that follow each other from `guest` on. */
function* store({ context, space }: CompressedTarget, clusters: readonly Uint8Array[], guest: number): Io<void> {
  const { clusterSize } = context.layout;
  const unlock = yield* context.locks.acquire(guest, clusters.length * clusterSize, true);
  try {
    let done = 0;
    while (done < clusters.length) {
      done += yield* storeInSlice(context, space, clusters.slice(done), guest + done * clusterSize);
    }
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

/** Stores as many of the clusters as have their entries in one slice, and says how many. */
function* storeInSlice(
  context: WriteContext,
  space: CompressedTarget["space"],
  clusters: readonly Uint8Array[],
  guest: number,
): Io<number> {
  const { layout, caches } = context;
  const l2Offset = yield* context.l2Tables.ensure(l1Index(context, guest));
  const slice = yield* pinSlice(context, l2Offset, guest);
  try {
    const stored = clusters.slice(0, (slice.guestEnd - guest) / layout.clusterSize);
    const { view } = slice.table;
    const first = entryIndex(context, slice, guest);
    const places = yield* space.reserve(stored.map(({ length }) => length));
    let used = 0;
    try {
      // all of them before any is written or counted: one may lie where no entry can point
      const links = places.map((place) => ({
        place,
        entry: compressedEntry(place.offset, place.length, layout.clusterBits),
      }));
      yield* writeAll(context, stored, places);
      caches.noteWrite();
      caches.l2.markDirty(slice.offset);
      for (const { place, entry } of links) {
        const index = first + used;
        const before = decodeState(view, index, guest + used * layout.clusterSize, layout);
        used++;
        place.commit();
        setEntry(view, index, entry, layout);
        freeState(context, before, false);
      }
    } finally {
      places.slice(used).forEach((place) => {
        place.abort();
      });
    }
    return stored.length;
  } finally {
    caches.l2.unpin(slice.offset);
  }
}

/** Writes compressed clusters to their places, those behind each other at once. */
function* writeAll(
  { storage }: WriteContext,
  clusters: readonly Uint8Array[],
  places: readonly CompressedPlace[],
): Io<void> {
  let end = 0;
  for (const [index, place] of places.entries()) {
    if (index < end) {
      continue;
    }
    let next = place.offset;
    for (end = index; places[end]?.offset === next; end++) {
      next += places[end]?.length ?? 0;
    }
    yield* writeStorage(storage, IoVector.from(clusters.slice(index, end)), place.offset);
  }
}

function setEntry(
  view: DataView,
  index: number,
  { high, low }: ReturnType<typeof compressedEntry>,
  layout: L2EntryLayout,
): void {
  const at = index * layout.entryLength;
  view.setUint32(at, high);
  view.setUint32(at + 4, low);
  if (layout.extended) {
    view.setUint32(at + 8, 0);
    view.setUint32(at + 12, 0);
  }
}
