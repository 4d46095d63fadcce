import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import { all } from "../io/all.ts";
import { checkpoint, type Io } from "../io/io.ts";
import { guestOffset, hex } from "../numbers/offsets.ts";
import { readStorage } from "../storage-access/read-storage.ts";
import type { FormatAccess } from "./format-access.ts";
import { planSteps, type ReadStep } from "./read-plan.ts";

/** Steps looked up before their data is read; bounds what a read of a fragmented range keeps in memory. */
const stepsAtOnce = 256;

/** Reads through all layers; past the end reads as zero. The caller holds the leases. */
export function* readImage(access: FormatAccess, into: IoVector, offset: number): Io<void> {
  let done = 0;
  while (done < into.length) {
    if (done > 0) {
      yield* checkpoint();
    }
    const steps = yield* planSteps(access, offset + done, into.length - done, true, stepsAtOnce);
    const [first] = steps;
    if (steps.length === 1 && first !== undefined) {
      yield* readStep(first, into.slice(done, done + first.length));
      done += first.length;
      continue;
    }
    const reads: Io<void>[] = [];
    for (const step of steps) {
      reads.push(readStep(step, into.slice(done, done + step.length)));
      done += step.length;
    }
    yield* all(reads, access.readParallelization);
  }
}

/** Reads what one step of a plan says. */
function* readStep(step: ReadStep, into: IoVector): Io<void> {
  switch (step.kind) {
    case "raw":
      yield* readStorage(step.storage, into, step.offset);
      return;
    case "zero":
    case "eof":
      into.fill(0);
      return;
    case "special": {
      const { driver } = step.layer;
      if (driver.readSpecial === undefined) {
        throw new ImgError(
          "ERR_IMG_UNSUPPORTED",
          `${String(driver)}: maps ${String(step.length)} bytes at ${hex(step.offset)} as special, but can't read them`,
        );
      }
      yield* driver.readSpecial(into, guestOffset(step.offset));
    }
  }
}
