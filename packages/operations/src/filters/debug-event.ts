/**
 * Where a {@link DebugStorage} can be told to act, in the words of QEMU's driver `blkdebug`: what an image does with the storage.
 *
 * - `none` happens once, at the beginning
 * - `read_aio`, `write_aio`: guest data · `l2_load`, `l2_update`, `l1_update`: mapping tables · `reftable_load`, `refblock_load`,
 *   `refblock_update_part`, `refblock_alloc_hookup`: refcounts, the last being entries of the refcount table. They need to know what lies where:
 *   {@link DebugStorage.regionAt}
 * - `flush_to_os`, `flush_to_disk`: before what was written is handed to the host, and made durable
 * - `pwritev`, `pwritev_zero`, `pwritev_done`: before and after whatever changes the storage
 */
export type DebugEvent = (typeof debugEvents)[number];

/** All {@link DebugEvent}s. */
export const debugEvents = [
  "none",
  "l1_update",
  "l2_load",
  "l2_update",
  "read_aio",
  "write_aio",
  "reftable_load",
  "refblock_load",
  "refblock_update_part",
  "refblock_alloc_hookup",
  "flush_to_os",
  "flush_to_disk",
  "pwritev",
  "pwritev_zero",
  "pwritev_done",
] as const;

/** What a part of a storage holds, as far as events tell it apart. */
export type DebugRegion = "header" | "l1-table" | "l2-table" | "refcount-table" | "refcount-block" | "data";

const readEvents: Readonly<Partial<Record<DebugRegion, DebugEvent>>> = {
  "l2-table": "l2_load",
  "refcount-table": "reftable_load",
  "refcount-block": "refblock_load",
  data: "read_aio",
};

const writeEvents: Readonly<Partial<Record<DebugRegion, DebugEvent>>> = {
  "l1-table": "l1_update",
  "l2-table": "l2_update",
  "refcount-table": "refblock_alloc_hookup",
  "refcount-block": "refblock_update_part",
  data: "write_aio",
};

/** The event of a read or write of such a part; `undefined`: there is none. */
export function transferEvent(method: "read" | "write", region: DebugRegion): DebugEvent | undefined {
  return (method === "read" ? readEvents : writeEvents)[region];
}
