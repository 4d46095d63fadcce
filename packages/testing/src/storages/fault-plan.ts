import type { StorageCall } from "@img/format-core";
import { rangeOfCall, type StorageMethod } from "./storage-method.ts";

/** When a storage is to fail, and how. */
export interface FaultRule {
  /** The methods that it is about. Default: all but `close`. */
  readonly on?: StorageMethod | readonly StorageMethod[];
  /** Only calls that touch this range, in bytes; never methods that aren't about a range. Default: any. */
  readonly range?: { readonly offset: number; readonly length: number };
  /** The first call that fails, counted from 1 among those that the rule is about. Default 1. */
  readonly nth?: number;
  /** How many calls fail, beginning with {@link nth}. Default: 1 when `nth` is given, else all. */
  readonly times?: number;
  /** The host's errno code, or the error itself; `null`: it doesn't fail (for rules that only delay). Default `"EIO"`. */
  readonly error?: string | Error | null;
  /** Fail instead of doing what was asked (`before`), or after it was done (`after`). Default `"before"`. */
  readonly when?: "before" | "after";
  /**
   * A write that fails has so many leading sectors written all the same (never the whole of it). A sector is 512 bytes, or the storage's request
   * alignment where that is more. Default 0.
   */
  readonly torn?: number;
  /** Milliseconds to wait first; asynchronous calls only. Default 0. */
  readonly delay?: number;
}

/** A rule that met a call. */
export interface Fault {
  readonly rule: FaultRule;
  readonly call: StorageCall;
}

/**
 * Rules and their counts. One plan may serve several storages, which then count together: "the 5th call, wherever it goes".
 */
export class FaultPlan {
  readonly #rules: { readonly rule: FaultRule; seen: number }[] = [];
  readonly #faults: Fault[] = [];

  constructor(...rules: readonly FaultRule[]) {
    for (const rule of rules) {
      this.add(rule);
    }
  }

  /** What met a rule so far, in order. */
  get faults(): readonly Fault[] {
    return this.#faults;
  }

  /** Adds a rule; it counts calls from now on. When several meet a call, the first one added is followed. */
  add(rule: FaultRule): void {
    this.#rules.push({ rule, seen: 0 });
  }

  /** Removes all rules: nothing fails from now on. {@link faults} stay known. */
  clear(): void {
    this.#rules.length = 0;
  }

  /** Counts a call and gives the rule for it, if there is one. */
  meet(call: StorageCall): FaultRule | undefined {
    let met: FaultRule | undefined;
    for (const entry of this.#rules) {
      if (!isAbout(entry.rule, call)) {
        continue;
      }
      entry.seen++;
      const { nth = 1, times = entry.rule.nth === undefined ? Infinity : 1 } = entry.rule;
      if (entry.seen >= nth && entry.seen < nth + times) {
        met ??= entry.rule;
      }
    }
    if (met !== undefined) {
      this.#faults.push({ rule: met, call });
    }
    return met;
  }
}

function isAbout(rule: FaultRule, call: StorageCall): boolean {
  const { on, range } = rule;
  const named = on === undefined ? call.method !== "close" : [on].flat().includes(call.method);
  if (!named || range === undefined) {
    return named;
  }
  const asked = rangeOfCall(call);
  return (
    asked !== undefined && asked.offset < range.offset + range.length && range.offset < asked.offset + asked.length
  );
}
