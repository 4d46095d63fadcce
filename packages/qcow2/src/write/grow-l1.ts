import { ImgError, type Io } from "@img/format-core";
import { limits } from "../header/layout.ts";
import type { HeaderWriter } from "./header-writer.ts";
import { ResidentTable } from "./resident-table.ts";
import { freeTable, writeTable } from "./table-space.ts";
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
  const { caches, storage } = context;
  const old = caches.l1;
  // what the old table's latest entries point at must be on disk before the new table is
  yield* caches.flushAll();
  const bytes = new Uint8Array(length * 8);
  bytes.set(old.bytes);
  const table = yield* writeTable(context, bytes);
  try {
    yield* caches.barrier();
  } catch (error) {
    table.free();
    throw error;
  }
  yield* header.change(
    () => header.setL1Table(table.offset, length),
    () => header.setL1Table(old.offset, old.length),
    table.free,
  );
  caches.replaceL1(new ResidentTable(storage, table.offset, bytes));
  freeTable(context, old.offset, old.bytes.length);
}
