import { IoVector } from "@img/io-vector";
import { hex, syncStorage, writeStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import type { RepairSteps } from "./repair-steps.ts";

/** Writes the zeroes that a table reads as behind the file's end: from then on they are what it says. */
export function* fillLastCluster(
  { storage, fileSize, fileClusters, clusterSize }: CheckState,
  steps: RepairSteps,
): Io<void> {
  const end = fileClusters * clusterSize;
  steps.add({
    kind: "fill-cluster",
    message: `write zeroes from host offset ${hex(fileSize)} to ${hex(end)}, where a table goes on`,
    hostOffset: fileSize,
  });
  yield* writeStorage(storage, IoVector.single(new Uint8Array(end - fileSize)), fileSize);
  yield* syncStorage(storage);
}
