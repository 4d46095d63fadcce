import type { Io } from "@img/format-core";
import type { SnapshotTablePlace } from "../../snapshots/load-snapshots.ts";
import type { Snapshot } from "../../snapshots/snapshot.ts";
import type { HeaderWriter } from "../header-writer.ts";
import type { WriteContext } from "../write-context.ts";

/** The image whose snapshots are changed. Nobody else reads or writes it meanwhile. */
export interface SnapshotTarget {
  readonly context: WriteContext;
  readonly header: HeaderWriter;
  /** The snapshots as the image has them. */
  readonly snapshots: readonly Snapshot[];
  /** What the header says about them. */
  readonly place: SnapshotTablePlace;
  readonly cryptMethod: number;
  /** Called when the header has another snapshot table. */
  readonly setSnapshots: (snapshots: readonly Snapshot[], place: SnapshotTablePlace) => void;
  /** Called when the header has another disk, whose L1 table is the one in the caches now. */
  readonly setSize: (size: number) => void;
  /** Whether nobody knows what the header says on disk: then nothing must be undone either. */
  readonly isBroken: () => boolean;
  /** Writes all changes and lowers the refcounts of what isn't used any more. */
  flush(): Io<void>;
}
