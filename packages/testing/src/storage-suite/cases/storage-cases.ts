import type { StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import { closingCases } from "./closing.ts";
import { concurrencyCases } from "./concurrency.ts";
import { copyingCases } from "./copying.ts";
import { discardingCases } from "./discarding.ts";
import { extentCases } from "./extents.ts";
import { farOffsetCases } from "./far-offsets.ts";
import { flushingCases } from "./flushing.ts";
import { growingCases } from "./growing.ts";
import { propertyCases } from "./properties.ts";
import { randomProgramCases } from "./random-program.ts";
import { readOnlyCases } from "./read-only.ts";
import { readingCases } from "./reading.ts";
import { resizingCases } from "./resizing.ts";
import { writingCases } from "./writing.ts";
import { zeroingCases } from "./zeroing.ts";

/** All cases, in the order in which a new storage is best made to pass them. */
export function storageCases(manifest: StorageManifest): StorageCase[] {
  return [
    ...propertyCases,
    ...readingCases,
    ...writingCases,
    ...growingCases,
    ...farOffsetCases(manifest),
    ...zeroingCases,
    ...copyingCases,
    ...discardingCases,
    ...extentCases,
    ...resizingCases,
    ...flushingCases,
    ...concurrencyCases,
    ...readOnlyCases,
    ...closingCases,
    ...randomProgramCases(manifest),
  ];
}
