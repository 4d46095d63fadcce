import { ImgError } from "@img/format-core";
import type { Snapshot } from "./snapshot.ts";

/** Which snapshot: its id or, failing that, its name; or exactly one of both. */
export type SnapshotSelector = string | { readonly id?: string; readonly name?: string };

/**
 * Finds a snapshot. A string is looked for among the ids first, then among the names, as in qemu-img.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none.
 */
export function findSnapshot(snapshots: readonly Snapshot[], selector: SnapshotSelector): Snapshot {
  const found =
    typeof selector === "string"
      ? (snapshots.find((each) => each.id === selector) ?? snapshots.find((each) => each.name === selector))
      : snapshots.find(
          (each) =>
            // one that names nothing isn't one that any snapshot fits
            (selector.id ?? selector.name) !== undefined &&
            (selector.id === undefined || each.id === selector.id) &&
            (selector.name === undefined || each.name === selector.name),
        );
  if (found === undefined) {
    const names = snapshots.map((each) => `${each.id} ${JSON.stringify(each.name)}`).join(", ");
    throw new ImgError(
      "ERR_IMG_OUT_OF_RANGE",
      `there is no snapshot ${JSON.stringify(selector)}: expected one of ${names === "" ? "none" : names}`,
    );
  }
  return found;
}
