import { IoVector } from "@img/io-vector";
import { readStorage, type Io } from "@img/format-core";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import type { WriteContext } from "../write-context.ts";
import { tableOffsets, withoutCopied } from "./disk-tree.ts";

/**
 * Reads a snapshot's L1 table; its entries say that nothing belongs to it alone.
 * @throws ImgError `ERR_IMG_CORRUPT` for entries that can't be
 */
export function* loadL1(context: WriteContext, snapshot: Snapshot): Io<Uint8Array> {
  const bytes = new Uint8Array(snapshot.l1Size * 8);
  yield* readStorage(context.storage, IoVector.from(bytes), snapshot.l1TableOffset);
  tableOffsets(context, bytes);
  return withoutCopied(bytes);
}
