import { IoVector } from "@img/io-vector";
import { all, hex, ImgError, perform, readStorage, TableCache, type Io, type Storage } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import type { CompressedCluster } from "../tables/l2-entry.ts";

/** What is kept at least, in clusters: a small budget must not make every read of a large cluster inflate it anew. */
const leastClusters = 2;

/** Buffers that are kept for the next clusters: as many as are decompressed at once. */
const mostBuffers = 8;

/** Compressed data that is read at once, bytes, and buffers for it that are kept. */
const runs = { length: 512 * 1024, buffers: 2 };

/** Clusters of a run that are decompressed at once, where there are threads for it: as many as Node has unless told otherwise. */
const clustersAtOnce = 4;

function* refuseStore(): Io<void> {
  throw new Error("a decompressed cluster was changed");
}

/** Reads compressed clusters, and keeps the latest of them inflated. */
export class DecompressedClusters {
  readonly #storage: Storage;
  readonly #findCodec: () => ClusterCodec;
  #codec: ClusterCodec | undefined;
  readonly #clusterSize: number;
  readonly #cache: TableCache<number, Uint8Array>;
  /** What is being read just now, by host offset: length of the compressed data, and how many read it. */
  readonly #reading = new Map<number, { length: number; readers: number }>();
  /** Buffers for compressed data that nobody uses at the moment: of single clusters, and of {@link runs}. */
  readonly #buffers: Uint8Array[] = [];
  readonly #runBuffers: Uint8Array[] = [];

  /**
   * @param findCodec - asked when the first cluster is decompressed
   * @param maxBytes - what may be kept; at least two clusters are
   */
  constructor(storage: Storage, findCodec: () => ClusterCodec, clusterSize: number, maxBytes: number) {
    this.#storage = storage;
    this.#findCodec = findCodec;
    this.#clusterSize = clusterSize;
    const load = (offset: number): Io<Uint8Array> => this.#load(offset);
    this.#cache = new TableCache<number, Uint8Array>({
      maxBytes: Math.max(maxBytes, leastClusters * clusterSize),
      what: "decompressed cluster",
      sizeOf: (cluster) => cluster.length,
      load,
      store: refuseStore,
    });
  }

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#cache.isEmpty;
  }

  /** Forgets everything. */
  clear(): void {
    this.#cache.invalidate({ discardDirty: true });
  }

  /** Forgets the cluster at host offset `offset`: something else will be there. */
  forget(offset: number): void {
    this.#cache.delete(offset);
  }

  /**
   * Fills `into` with bytes of a compressed cluster, from `within` on.
   * @throws ImgError `ERR_IMG_CORRUPT` when the cluster can't be decompressed.
   */
  *read(place: CompressedCluster, within: number, into: IoVector): Io<void> {
    const whole = into.singleBuffer;
    const kept = this.#cache.peek(place.offset);
    if (kept !== undefined) {
      into.copyFromSlice(kept.subarray(within, within + into.length));
    } else if (whole?.length === this.#clusterSize) {
      // the reader takes all of it: no detour, and nothing worth keeping
      yield* this.#decompress(place, whole);
    } else {
      const cluster = yield* this.#keep(place);
      into.copyFromSlice(cluster.subarray(within, within + into.length));
    }
  }

  /**
   * Fills `into` with whole clusters, one for each of `places`, in their order: what is stored together is read at once.
   * @returns what can be done at the same time
   * @throws ImgError as {@link read}
   */
  readAll(places: readonly CompressedCluster[], into: IoVector): Io<void>[] {
    let done = 0;
    return together(places).map((run) => {
      const start = done;
      done += run.places.length * this.#clusterSize;
      const part = into.slice(start, done);
      const [first, ...others] = run.places;
      return first !== undefined && others.length === 0 ? this.read(first, 0, part) : this.#readRun(run, part);
    });
  }

  *#readRun({ places, start, end }: Run, into: IoVector): Io<void> {
    const codec = yield* this.#loadCodec();
    const buffer = this.#runBuffers.pop() ?? new Uint8Array(runs.length);
    try {
      yield* readStorage(this.#storage, IoVector.single(buffer.subarray(0, end - start)), start);
      const clusters = places.map((place, index) => {
        const source = buffer.subarray(place.offset - start, place.offset - start + place.length);
        const target = into.slice(index * this.#clusterSize, (index + 1) * this.#clusterSize);
        return decompressTo(codec, place, source, target);
      });
      yield* all(clusters, clustersAtOnce);
    } finally {
      if (this.#runBuffers.length < runs.buffers) {
        this.#runBuffers.push(buffer);
      }
    }
  }

  *#keep({ offset, length }: CompressedCluster): Io<Uint8Array> {
    const reading = this.#reading.get(offset) ?? { length: 0, readers: 0 };
    this.#reading.set(offset, reading);
    // entries that share the data may disagree about it; what follows it is ignored
    reading.length = Math.max(reading.length, length);
    reading.readers++;
    try {
      return yield* this.#cache.get(offset);
    } finally {
      reading.readers--;
      // whoever waited for a read that failed reads it again
      if (reading.readers === 0) {
        this.#reading.delete(offset);
      }
    }
  }

  *#load(offset: number): Io<Uint8Array> {
    const length = this.#reading.get(offset)?.length ?? 0;
    const cluster = new Uint8Array(this.#clusterSize);
    yield* this.#decompress({ offset, length }, cluster);
    return cluster;
  }

  *#decompress(place: CompressedCluster, target: Uint8Array): Io<void> {
    const codec = yield* this.#loadCodec();
    const buffer = this.#takeBuffer(place.length);
    try {
      const source = buffer.subarray(0, place.length);
      yield* readStorage(this.#storage, IoVector.single(source), place.offset);
      yield* decompress(codec, place, source, target);
    } finally {
      if (this.#buffers.length < mostBuffers) {
        this.#buffers.push(buffer);
      }
    }
  }

  *#loadCodec(): Io<ClusterCodec> {
    if (this.#codec !== undefined) {
      return this.#codec;
    }
    const codec = this.#findCodec();
    if (codec.load !== undefined) {
      // where waiting is impossible, a codec prepares itself when it is used
      yield* perform({ label: codec.name, async: () => codec.load?.(), sync: () => undefined });
    }
    this.#codec = codec;
    return codec;
  }

  /** A buffer that isn't in use, if there is one that is long enough. */
  #takeBuffer(length: number): Uint8Array {
    const buffer = this.#buffers.pop();
    return buffer !== undefined && buffer.length >= length
      ? buffer
      : new Uint8Array(Math.max(length, this.#clusterSize));
  }
}

/** Clusters whose compressed data are read at once. */
interface Run {
  readonly places: CompressedCluster[];
  /** Host offset, and the one behind it. */
  readonly start: number;
  end: number;
}

/** Puts clusters that follow each other, and whose data do, together. */
function together(places: readonly CompressedCluster[]): Run[] {
  const found: Run[] = [];
  for (const place of places) {
    const run = found.at(-1);
    const end = place.offset + place.length;
    // lengths are in sectors: the next one begins where the last sector of the one before ends, or in it
    if (
      run !== undefined &&
      place.offset >= run.start &&
      place.offset <= run.end &&
      Math.max(run.end, end) - run.start <= runs.length
    ) {
      run.places.push(place);
      run.end = Math.max(run.end, end);
    } else {
      found.push({ places: [place], start: place.offset, end });
    }
  }
  return found;
}

function* decompressTo(codec: ClusterCodec, place: CompressedCluster, source: Uint8Array, into: IoVector): Io<void> {
  const single = into.singleBuffer;
  const target = single ?? new Uint8Array(into.length);
  yield* decompress(codec, place, source, target);
  if (single === undefined) {
    into.copyFromSlice(target);
  }
}

/** Decompresses off this thread where there are others and waiting is possible. */
function* decompress(
  codec: ClusterCodec,
  { offset, length }: CompressedCluster,
  source: Uint8Array,
  target: Uint8Array,
): Io<void> {
  const atOnce = (): void => {
    codec.decompressInto(source, target);
  };
  try {
    if (codec.decompressIntoAsync === undefined) {
      atOnce();
      return;
    }
    yield* perform({
      label: codec.name,
      sync: atOnce,
      async: () => codec.decompressIntoAsync?.(source, target),
    });
  } catch (cause) {
    if (cause instanceof ImgError && cause.code === "ERR_IMG_CORRUPT") {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `compressed cluster of at most ${String(length)} bytes at host offset ${hex(offset)}: ${cause.message}`,
        { cause },
      );
    }
    throw cause;
  }
}
