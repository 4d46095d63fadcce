import type { IoVector } from "@img/io-vector";
import { all, type Io } from "@img/format-core";
import type { ImageTables } from "../image-tables.ts";
import { compressedCluster, compressedFlag } from "../tables/l2-entry.ts";

/** Parts of one request that are decompressed at once: the threads that Node has for it unless told otherwise. */
const partsAtOnce = 4;

/** Reads a part that was written to since it was mapped as compressed, and isn't compressed any more. */
type ReadOther = (into: IoVector, offset: number) => Io<void>;

/** Reads a guest range that was mapped as compressed. */
export function* readCompressed(tables: ImageTables, into: IoVector, offset: number, readOther: ReadOther): Io<void> {
  const { clusterSize } = tables.layout;
  const reads: Io<void>[] = [];
  for (let start = 0, end; start < into.length; start = end) {
    const at = offset + start;
    const whole = at % clusterSize === 0 ? Math.floor((into.length - start) / clusterSize) : 0;
    const places = whole < 2 ? [] : yield* tables.map.compressed(at, whole);
    end = Math.min(start + Math.max(1, places.length) * clusterSize - (at % clusterSize), into.length);
    const part = end - start === into.length ? into : into.slice(start, end);
    if (places.length < 2) {
      reads.push(readCluster(tables, part, at, readOther));
    } else {
      reads.push(...tables.decompressed.readAll(places, part));
    }
  }
  const [only] = reads;
  yield* reads.length === 1 && only !== undefined ? only : all(reads, partsAtOnce);
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
