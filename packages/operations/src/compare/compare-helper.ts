import type { Io } from "@img/format-core";
import type { ComparedParts } from "./compared-parts.ts";

/** Somebody who compares parts of two disks beside the thread that has been asked to compare them. */
export interface CompareHelper {
  /** Told between parts. Whoever helps takes parts as this thread does, and says which are equal. */
  consider(parts: ComparedParts): void;
  /** Waits until nobody works on a part any more. */
  end(): Io<void>;
}
