import { setTimeout as sleep } from "node:timers/promises";
import {
  InterceptingStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
  type SyncStorage,
} from "@img/format-core";
import { FaultPlan, type FaultRule } from "./fault-plan.ts";
import { hostError } from "./host-error.ts";

/** Options of {@link FaultStorage}. */
export interface FaultStorageOptions {
  /** Bytes by which the storage may still grow before the medium is full (`ENOSPC`). Default: unlimited. */
  readonly spaceLeft?: number;
}

/** What is to happen to one call. */
interface Verdict {
  readonly rule: FaultRule;
  readonly error: Error | null;
}

/**
 * A storage that fails where it is told to, in the ways that hosts do: with an errno code, before or after the deed, with half a write
 * done, late, or because the medium is full.
 */
export class FaultStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  /** When it fails; rules may be added and removed at any time. */
  readonly plan: FaultPlan;
  /** As in {@link FaultStorageOptions}; counts down as the storage grows, and may be set at any time. */
  spaceLeft: number;

  /** @param plan - rules, or a plan that several storages share */
  constructor(inner: S, plan: FaultPlan | readonly FaultRule[] = [], options: FaultStorageOptions = {}) {
    super(inner);
    this.plan = plan instanceof FaultPlan ? plan : new FaultPlan(...plan);
    this.spaceLeft = options.spaceLeft ?? Infinity;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    const verdict = this.#judge(call);
    return verdict === undefined ? proceed() : this.#fail(verdict, call, proceed);
  }

  async #fail<T>({ rule, error }: Verdict, call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
    if (rule.delay !== undefined) {
      await sleep(rule.delay);
    }
    if (error === null) {
      return await proceed();
    }
    if (rule.when === "after") {
      await proceed();
    } else if (call.method === "write") {
      await this.inner.write(call.vector.slice(0, this.#tornLength(rule, call.length)), call.offset);
    }
    throw error;
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    const verdict = this.#judge(call);
    if (verdict === undefined || verdict.error === null) {
      return proceed();
    }
    if (verdict.rule.when === "after") {
      proceed();
    } else if (call.method === "write") {
      const written = call.vector.slice(0, this.#tornLength(verdict.rule, call.length));
      // only reached where the inner storage has the facet
      (this.inner as Storage as SyncStorage).writeSync(written, call.offset);
    }
    throw verdict.error;
  }

  #judge(call: StorageCall): Verdict | undefined {
    const rule = this.plan.meet(call);
    if (rule !== undefined) {
      const { error = "EIO" } = rule;
      return { rule, error: typeof error === "string" ? hostError(error, call.method) : error };
    }
    return this.#takeSpace(call) ? undefined : { rule: {}, error: hostError("ENOSPC", call.method) };
  }

  /** Whether there is room for what the call makes the storage grow. */
  #takeSpace(call: StorageCall): boolean {
    const growth = endOf(call) - this.inner.size;
    if (growth <= 0) {
      return true;
    }
    if (growth > this.spaceLeft) {
      return false;
    }
    this.spaceLeft -= growth;
    return true;
  }

  #tornLength(rule: FaultRule, length: number): number {
    const sector = Math.max(512, this.inner.limits.request);
    const most = Math.max(0, Math.ceil(length / sector) - 1);
    return Math.min(rule.torn ?? 0, most) * sector;
  }
}

/** The size that the storage has to have at least after the call. */
function endOf(call: StorageCall): number {
  switch (call.method) {
    case "write":
    case "writeZeroes":
      return call.length === 0 ? 0 : call.offset + call.length;
    case "resize":
      return call.size;
    default:
      return 0;
  }
}
