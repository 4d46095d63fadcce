import { ThrottleGroup, type ThrottleLimit, type ThrottleLimits } from "@img/operations";
import { CommandError } from "../../errors/command-error.ts";
import { BlockdevReader } from "../blockdev-reader.ts";
import { objectOptions } from "./object-options.ts";

/** Groups of limits that `throttle` nodes can name. */
export type ThrottleGroups = ReadonlyMap<string, ThrottleGroup>;

/**
 * The throttle groups among what `--object` gives: `throttle-group,id=g,x-iops-total=100`, or as JSON with `limits`.
 * @throws CommandError in QEMU's words
 */
export function throttleGroups(definitions: readonly string[]): ThrottleGroups {
  const groups = new Map<string, ThrottleGroup>();
  for (const definition of definitions) {
    const options = objectOptions(definition);
    if (options.get("qom-type") !== "throttle-group") {
      continue;
    }
    const reader = new BlockdevReader(options);
    reader.take("qom-type");
    const id = reader.string("id");
    if (id === undefined) {
      throw new CommandError("Parameter 'id' is missing");
    }
    if (groups.has(id)) {
      throw new CommandError(`attempt to add duplicate property '${id}' to object (type 'container')`);
    }
    const limits = { ...takeLimits(reader, "x-"), ...takeLimits(reader, "limits.") };
    const [left] = reader.left;
    if (left !== undefined) {
      throw new CommandError(`Parameter '${left}' is unexpected`);
    }
    groups.set(id, groupOf(limits));
  }
  return groups;
}

/** Takes limits out of options: `iops-total`, `iops-total-max`, `iops-total-max-length`, and so on. */
export function takeLimits(reader: BlockdevReader, prefix: string): ThrottleLimits {
  const limits: Record<string, ThrottleLimit | number> = {};
  for (const what of ["iops", "bps"]) {
    for (const kind of ["total", "read", "write"]) {
      const key = `${prefix}${what}-${kind}`;
      const average = reader.size(key) ?? 0;
      const burst = reader.size(`${key}-max`) ?? 0;
      const burstLength = reader.size(`${key}-max-length`) ?? 1;
      if (average > 0) {
        const bursts = burst === 0 ? {} : { burst, burstLength };
        limits[`${what}${kind.charAt(0).toUpperCase()}${kind.slice(1)}`] = { average, ...bursts };
      } else if (burst > 0) {
        throw new CommandError("bps_max/iops_max require corresponding bps/iops values");
      }
    }
  }
  const iopsSize = reader.size(`${prefix}iops-size`);
  return { ...limits, ...(iopsSize === undefined ? {} : { iopsSize }) };
}

/** @throws CommandError for limits that contradict each other */
export function groupOf(limits: ThrottleLimits): ThrottleGroup {
  for (const what of ["iops", "bps"] as const) {
    if (limits[`${what}Total`] !== undefined && (limits[`${what}Read`] ?? limits[`${what}Write`]) !== undefined) {
      throw new CommandError("bps/iops/max total values and read/write values cannot be used at the same time");
    }
  }
  try {
    return new ThrottleGroup(limits);
  } catch (error) {
    throw error instanceof RangeError ? new CommandError(error.message) : error;
  }
}
