import type { Io } from "@img/format-core";
import { clearClusters, discardData } from "./clear-clusters.ts";
import { dropL2Tables, trimFile } from "./resize.ts";
import type { WriteContext } from "./write-context.ts";

/**
 * Takes everything out of the disk, so that the image below shows everywhere, or zeroes. Snapshots keep what they have. A power cut leaves a part of it
 * out, and clusters that are counted too often. Runs alone.
 *
 * @param flush - writes all changes, and frees what isn't used any more
 */
export function* makeEmpty(context: WriteContext, flush: () => Io<void>): Io<void> {
  for (let at = 0; at < context.size;) {
    const cleared = yield* clearClusters(context, at, context.size - at, "unallocate");
    at = cleared.length === 0 ? context.size : cleared.offset + cleared.length;
  }
  yield* dropL2Tables(context, 0, context.size);
  context.allocator.frees.noteIdle();
  yield* flush();
  if (!context.layout.externalDataFile) {
    yield* trimFile(context);
  } else if (context.backed && !context.dataFileRaw) {
    yield* context.caches.syncWritten();
    yield* discardData(context, 0, Math.min(context.size, context.data.size));
  }
}
