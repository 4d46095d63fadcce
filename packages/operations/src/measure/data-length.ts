import { alignDown, alignUp, type FormatAccess, type Io } from "@img/format-core";
import { MapReader } from "../map/map-reader.ts";
import { Pacer } from "../pacer.ts";

/** Bytes of all clusters of that size in which the image has data that aren't known to be zero. */
export function* dataLength(image: FormatAccess, clusterSize: number): Io<number> {
  const reader = new MapReader(image);
  const pacer = new Pacer();
  let counted = 0;
  let total = 0;
  while (!reader.isDone) {
    yield* pacer.pause();
    for (const entry of yield* reader.next()) {
      if (entry.zero || !entry.data) {
        continue;
      }
      // the last run's last cluster may be this run's first
      const start = Math.max(counted, alignDown(entry.start, clusterSize));
      const end = alignUp(entry.start + entry.length, clusterSize);
      if (end > start) {
        total += end - start;
        counted = end;
      }
    }
  }
  return total;
}
