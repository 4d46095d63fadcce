import { ImgError, type Io } from "@img/format-core";
import { decodeState } from "../write/cluster-state.ts";
import type { WriteContext } from "../write/write-context.ts";
import { visitSlices } from "./visit-slices.ts";

/**
 * Looks at the entries for all clusters before they get another meaning.
 * @param l1s - of the disk, and of all snapshots
 * @param compressed - whether there may be compressed clusters
 * @throws ImgError `ERR_IMG_CORRUPT` for an entry that can't be; `ERR_IMG_UNSUPPORTED` with the feature `"compression type"` for a compressed cluster
 * where there may be none
 */
export function* checkClusters(context: WriteContext, l1s: readonly Uint8Array[], compressed: boolean): Io<void> {
  const { layout } = context;
  for (const l1 of l1s) {
    yield* visitSlices(context, l1, function* ({ table }) {
      for (let index = 0; index * layout.entryLength < table.bytes.length; index++) {
        const state = decodeState(table.view, index, 0, layout);
        if (state.compressed !== undefined && !compressed) {
          throw new ImgError("ERR_IMG_UNSUPPORTED", "version 2 images have no clusters that are compressed with zstd", {
            feature: "compression type",
          });
        }
      }
    });
  }
}
