import { CommandError, parseCacheMode, type ParsedArguments } from "@img/cli";
import type { DiskUse } from "../exports/export-plan.ts";
import { choice } from "./choice.ts";

/** How the command line wants images to be used. @throws CommandError for modes that there aren't */
export function diskUse(args: ParsedArguments): DiskUse {
  const cache = args.has("nocache") ? "none" : (args.value("cache") ?? "writeback");
  const { direct, sync } = parseCacheMode(cache, "cache mode");
  choice(args, "aio", ["threads", "native", "io_uring"], "threads");
  const discard = choice(args, "discard", ["unmap", "on", "ignore", "off"], "unmap");
  const detectZeroes = choice(args, "detect-zeroes", ["off", "on", "unmap"], "off");
  const unmaps = discard === "unmap" || discard === "on";
  if (detectZeroes === "unmap" && !unmaps) {
    throw new CommandError("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  }
  const writeThrough = cache === "writethrough" || cache === "directsync";
  return { direct, durable: sync, writeThrough, discard: unmaps, detectZeroes };
}
