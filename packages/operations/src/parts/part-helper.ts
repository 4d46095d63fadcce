import type { Io } from "@img/format-core";
import type { SharedParts } from "./shared-parts.ts";

/** Somebody who works on parts of a disk beside the thread that has been asked to work on it. */
export interface PartHelper {
  /** Told now and then, several times for each part. Whoever helps takes parts as this thread does, and says which are finished. */
  consider(parts: SharedParts): Io<void>;
  /** Waits until nobody works on a part any more; that is soon when `parts` says that none is wanted. */
  end(): Io<void>;
}
