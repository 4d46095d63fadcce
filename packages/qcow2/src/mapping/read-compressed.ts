import type { IoVector } from "@img/io-vector";
import { all, type Io } from "@img/format-core";
import type { ImageTables } from "../image-tables.ts";
import { compressedCluster, compressedFlag } from "../tables/l2-entry.ts";

/** Clusters of one request that are decompressed at once: the threads that Node has for it unless told otherwise. */
const clustersAtOnce = 4;

/** Reads a part that was written to since it was mapped as compressed, and isn't compressed any more. */
type ReadOther = (into: IoVector, offset: number) => Io<void>;

/** Reads a guest range that was mapped as compressed. */
export function* readCompressed(tables: ImageTables, into: IoVector, offset: number, readOther: ReadOther): Io<void> {
  const { clusterSize } = tables.layout;
  const first = Math.min(clusterSize - (offset % clusterSize), into.length);
  if (first === into.length) {
    yield* readCluster(tables, into, offset, readOther);
    return;
  }
  const reads: Io<void>[] = [];
  for (let start = 0, end = first; start < into.length; start = end, end = Math.min(end + clusterSize, into.length)) {
    reads.push(readCluster(tables, into.slice(start, end), offset + start, readOther));
  }
  yield* all(reads, clustersAtOnce);
}

/** Reads a range inside of one cluster. */
function* readCluster(tables: ImageTables, into: IoVector, offset: number, readOther: ReadOther): Io<void> {
  const { clusterSize, clusterBits } = tables.layout;
  const entry = yield* tables.map.entry(offset);
  if (entry !== undefined && (entry.high & compressedFlag) !== 0) {
    const place = compressedCluster(entry.high, entry.low, clusterBits);
    yield* tables.decompressed.read(place, offset % clusterSize, into);
  } else {
    yield* readOther(into, offset);
  }
}
