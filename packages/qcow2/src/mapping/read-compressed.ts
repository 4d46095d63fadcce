import type { IoVector } from "@img/io-vector";
import type { Io } from "@img/format-core";
import type { ImageTables } from "../image-tables.ts";
import { compressedCluster, compressedFlag } from "../tables/l2-entry.ts";

/**
 * Reads a guest range that was mapped as compressed.
 * @param readOther - reads a part that was written to since, and isn't compressed any more
 */
export function* readCompressed(
  tables: ImageTables,
  into: IoVector,
  offset: number,
  readOther: (into: IoVector, offset: number) => Io<void>,
): Io<void> {
  const { clusterSize, clusterBits } = tables.layout;
  for (let done = 0; done < into.length;) {
    const at = offset + done;
    const within = at % clusterSize;
    const part = into.slice(done, done + Math.min(clusterSize - within, into.length - done));
    const entry = yield* tables.map.entry(at);
    if (entry !== undefined && (entry.high & compressedFlag) !== 0) {
      const place = compressedCluster(entry.high, entry.low, clusterBits);
      yield* tables.decompressed.read(place, within, part);
    } else {
      yield* readOther(part, at);
    }
    done += part.length;
  }
}
