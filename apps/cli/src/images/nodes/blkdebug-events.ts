import { debugEvents, type DebugEvent } from "@img/operations";

/** What QEMU can tell of besides: things that have no counterpart here, or that can't be told from the outside. */
const otherEvents = [
  "l1_grow_alloc_table",
  "l1_grow_write_table",
  "l1_grow_activate_table",
  "l1_shrink_write_table",
  "l1_shrink_free_l2_clusters",
  "l2_update_compressed",
  "l2_alloc_cow_read",
  "l2_alloc_write",
  "read_backing_aio",
  "read_compressed",
  "write_compressed",
  "vmstate_load",
  "vmstate_save",
  "cow_read",
  "cow_write",
  "cor_write",
  "reftable_grow",
  "reftable_update",
  "refblock_update",
  "refblock_alloc",
  "refblock_alloc_write",
  "refblock_alloc_write_blocks",
  "refblock_alloc_write_table",
  "refblock_alloc_switch_table",
  "cluster_alloc",
  "cluster_alloc_bytes",
  "cluster_alloc_space",
  "cluster_free",
  "pwritev_rmw_head",
  "pwritev_rmw_after_head",
  "pwritev_rmw_tail",
  "pwritev_rmw_after_tail",
  "empty_image_prepare",
];

/** An event by its name; `"unsupported"`: one of QEMU's that doesn't happen here; `undefined`: there is none. */
export function blkdebugEvent(name: string): DebugEvent | "unsupported" | undefined {
  const event = debugEvents.find((each) => each === name);
  return event ?? (otherEvents.includes(name) ? "unsupported" : undefined);
}
