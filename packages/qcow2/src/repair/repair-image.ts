import { ImgError, syncStorage, type Io, type Storage } from "@img/format-core";
import type { CheckResult } from "../check/check-result.ts";
import type { ApplyRepairOptions } from "./repair-options.ts";
import type { RepairPlan } from "./repair-plan.ts";
import { RepairRun } from "./repair-run.ts";

/**
 * Repairs the qcow2 image in `storage`, which nobody else may have open, as `qemu-img check -r` does. Neither a backing image nor an external data file
 * is opened.
 *
 * Nothing is lost that can be read, of the disk or of any snapshot: where entries can't share a cluster, they get copies; leaks are given up only when
 * everything was understood that may refer to clusters. Durable when it returns. It may fail or be cut off anywhere: what is done by then is in order, and
 * doing it again does the rest.
 * @returns what was done; `after` is what is still wrong
 * @throws ImgError as `checkImage`; `ERR_IMG_BUSY` when the image isn't what the plan was made for; `ERR_IMG_NO_SPACE` when new refcounts have no
 * room, `ERR_IMG_READ_ONLY`, and the host's errors
 */
export function* repairImage(storage: Storage, options: ApplyRepairOptions): Io<RepairPlan> {
  const { plan } = options;
  const judge = (before: CheckResult): void => {
    if (plan !== undefined && (plan.mode !== options.mode || !isSame(plan.before, before))) {
      throw new ImgError("ERR_IMG_BUSY", `${storage.label} has changed since its repair was planned`, {
        subject: storage.label,
      });
    }
  };
  const done = yield* new RepairRun(storage, options).run(judge);
  if (done.stepCount > 0) {
    yield* syncStorage(storage);
  }
  return done;
}

function isSame(one: CheckResult, other: CheckResult): boolean {
  const { findings: some, ...counts } = one;
  const { findings: others, ...otherCounts } = other;
  const common = Math.min(some.length, others.length);
  const text = (value: unknown): string => JSON.stringify(value);
  return text(counts) === text(otherCounts) && text(some.slice(0, common)) === text(others.slice(0, common));
}
