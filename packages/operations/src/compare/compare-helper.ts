import type { Io } from "@img/format-core";
import type { ComparedParts } from "./compared-parts.ts";

/** Somebody who compares parts of two disks beside the thread that has been asked to compare them. */
export interface CompareHelper {
  /** Told now and then, several times for each part. Whoever helps takes parts as this thread does, and says which are equal. */
  consider(parts: ComparedParts): Io<void>;
  /** Waits until nobody works on a part any more. */
  end(): Io<void>;
}
