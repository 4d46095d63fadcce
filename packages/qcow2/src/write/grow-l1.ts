import { IoVector } from "@img/io-vector";
import { ImgError, writeStorage, type Io } from "@img/format-core";
import { limits } from "../header/layout.ts";
import type { HeaderWriter } from "./header-writer.ts";
import { ResidentTable } from "./resident-table.ts";
import type { WriteContext } from "./write-context.ts";

/**
 * Moves the L1 table to a longer one, if it has fewer than `length` entries. Everything is durable before the header points at the new
 * one; the old one is freed after that.
 * @throws ImgError `ERR_IMG_LIMIT` when the table would be longer than 32 MiB
 */
export function* growL1(context: WriteContext, header: HeaderWriter, length: number): Io<void> {
  if (length * 8 > limits.l1TableLength) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `L1 table would need ${String(length)} entries: expected at most ${String(limits.l1TableLength / 8)}`,
    );
  }
  if (length > context.caches.l1.length) {
    yield* context.l2Tables.runAlone(() => moveL1(context, header, length));
  }
}

function* moveL1(context: WriteContext, header: HeaderWriter, length: number): Io<void> {
  const { allocator, caches, layout, metadata, storage } = context;
  const { clusterSize } = layout;
  const old = caches.l1;
  const clusters = Math.ceil((length * 8) / clusterSize);
  // what the old table's latest entries point at must be on disk before the new table is
  yield* caches.flushAll();
  const reservation = yield* allocator.reserveAll(clusters);
  const offset = reservation.first * clusterSize;
  const bytes = new Uint8Array(length * 8);
  bytes.set(old.bytes);
  try {
    const padded = new Uint8Array(clusters * clusterSize);
    padded.set(bytes);
    caches.forget(offset, padded.length);
    yield* writeStorage(storage, IoVector.from(padded), offset);
  } catch (error) {
    reservation.release();
    throw error;
  }
  reservation.commit();
  caches.noteWrite();
  const undo = (): void => {
    for (let cluster = reservation.first; cluster < reservation.first + clusters; cluster++) {
      allocator.frees.add({ cluster, use: "table", discard: false });
    }
  };
  try {
    yield* caches.barrier();
  } catch (error) {
    undo();
    throw error;
  }
  yield* header.change(
    () => header.setL1Table(offset, length),
    () => header.setL1Table(old.offset, old.length),
    undo,
  );
  caches.replaceL1(new ResidentTable(storage, offset, bytes));
  for (let cluster = reservation.first; cluster < reservation.first + clusters; cluster++) {
    metadata.add(cluster);
  }
  if (old.length > 0) {
    const first = old.offset / clusterSize;
    const last = Math.ceil((old.offset + old.length * 8) / clusterSize);
    for (let cluster = first; cluster < last; cluster++) {
      allocator.frees.add({ cluster, use: "table", discard: false });
    }
  }
}
