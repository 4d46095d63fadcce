import type { DebugRulesOptions, LimitedStorageOptions } from "@img/operations";
import { CommandError } from "../../errors/command-error.ts";
import type { BlockdevReader } from "../blockdev-reader.ts";
import { readBlkdebugConfig } from "./blkdebug-config.ts";
import { blkdebugRules, type BlkdebugSection } from "./blkdebug-rules.ts";

/** What a `blkdebug` node does. */
export interface BlkdebugOptions {
  readonly rules: DebugRulesOptions;
  readonly limits: LimitedStorageOptions;
}

/**
 * Takes the options of a `blkdebug` node, but for what lies below it.
 * @throws CommandError in QEMU's words
 */
export function blkdebugOptions(reader: BlockdevReader): BlkdebugOptions {
  const config = reader.string("config");
  const sections: BlkdebugSection[] = config === undefined ? [] : [...readBlkdebugConfig(config)];
  for (const kind of ["inject-error", "set-state"] as const) {
    for (let index = 0; reader.hasUnder(`${kind}.${String(index)}.`); index++) {
      sections.push({ kind, options: reader.takeUnder(`${kind}.${String(index)}.`) });
    }
  }
  // who may do what beside us is said by the locks of the files
  reader.takeUnder("take-child-perms.");
  reader.takeUnder("unshare-child-perms.");
  return { rules: blkdebugRules(sections), limits: takeLimits(reader) };
}

function takeLimits(reader: BlockdevReader): LimitedStorageOptions {
  const align = take(reader, "align", (value) => value < 2 ** 31 && isPowerOfTwo(value));
  const unit = align ?? 1;
  const multipleOf = (least: number) => (value: number) => value < 2 ** 31 && value % least === 0;
  const maxTransfer = take(reader, "max-transfer", multipleOf(unit));
  const zero = take(reader, "opt-write-zero", (value) => multipleOf(unit)(value) && isPowerOfTwo(value));
  const maxZero = take(reader, "max-write-zero", multipleOf(Math.max(zero ?? 1, unit)));
  const discard = take(reader, "opt-discard", (value) => multipleOf(unit)(value) && isPowerOfTwo(value));
  const maxDiscard = take(reader, "max-discard", multipleOf(Math.max(discard ?? 1, unit)));
  const limits = {
    ...(align === undefined ? {} : { request: align }),
    ...(zero === undefined ? {} : { zero }),
    ...(discard === undefined ? {} : { discard }),
  };
  return {
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(maxTransfer === undefined ? {} : { maxTransfer }),
    ...(maxZero === undefined ? {} : { maxZero }),
    ...(maxDiscard === undefined ? {} : { maxDiscard }),
  };
}

/** 0 means that there is no limit. */
function take(reader: BlockdevReader, key: string, isPossible: (value: number) => boolean): number | undefined {
  const value = reader.size(key);
  if (value === undefined || value === 0) {
    return undefined;
  }
  if (!isPossible(value)) {
    throw new CommandError(`Cannot meet constraints with ${key} ${String(value)}`);
  }
  return value;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
