import type { FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import { concurrencyCases } from "./concurrency.ts";
import { crashCases } from "./crash.ts";
import { creatingCases } from "./creating.ts";
import { discardingCases } from "./discarding.ts";
import { faultCases } from "./faults.ts";
import { hostileCases } from "./hostile-bytes.ts";
import { lifecycleCases } from "./lifecycle.ts";
import { mappingCases } from "./mapping.ts";
import { openingCases } from "./opening.ts";
import { probingCases } from "./probing.ts";
import { randomProgramCases } from "./random-program.ts";
import { readingCases } from "./reading.ts";
import { resizingCases } from "./resizing.ts";
import { writingCases } from "./writing.ts";
import { zeroingCases } from "./zeroing.ts";

/** All cases, in the order in which a new format is best made to pass them. */
export function formatCases(manifest: FormatManifest): FormatCase[] {
  return [
    ...probingCases,
    ...openingCases,
    ...readingCases,
    ...mappingCases,
    ...creatingCases,
    ...writingCases,
    ...zeroingCases,
    ...discardingCases,
    ...resizingCases,
    ...concurrencyCases,
    ...lifecycleCases,
    ...faultCases,
    ...crashCases,
    ...hostileCases,
    ...randomProgramCases(manifest),
  ];
}
