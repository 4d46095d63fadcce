import { IoVector } from "@img/io-vector";
import { hex, ImgError, perform, readStorage, TableCache, type Io, type Storage } from "@img/format-core";
import type { ClusterCodec } from "../codecs/codec.ts";
import type { CompressedCluster } from "../tables/l2-entry.ts";

/** What is kept at least, in clusters: a small budget must not make every read of a large cluster inflate it anew. */
const leastClusters = 2;

/** Buffers that are kept for the next clusters: as many as are decompressed at once. */
const mostBuffers = 8;

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
  /** Buffers for compressed data that nobody uses at the moment. */
  readonly #buffers: Uint8Array[] = [];

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
      yield* decompress(codec, source, target);
    } catch (cause) {
      if (cause instanceof ImgError && cause.code === "ERR_IMG_CORRUPT") {
        throw new ImgError(
          "ERR_IMG_CORRUPT",
          `compressed cluster of at most ${String(place.length)} bytes at host offset ${hex(place.offset)}: ${cause.message}`,
          { cause },
        );
      }
      throw cause;
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

/** Decompresses off this thread where there are others and waiting is possible. */
function decompress(codec: ClusterCodec, source: Uint8Array, target: Uint8Array): Io<void> {
  const atOnce = (): void => {
    codec.decompressInto(source, target);
  };
  return perform({
    label: codec.name,
    sync: atOnce,
    async: codec.decompressIntoAsync === undefined ? atOnce : () => codec.decompressIntoAsync?.(source, target),
  });
}
