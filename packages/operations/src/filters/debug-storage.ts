import {
  ImgError,
  InterceptingStorage,
  isPromise,
  StorageDecorator,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import type { Breakpoints } from "./breakpoints.ts";
import { transferEvent, type DebugEvent, type DebugRegion } from "./debug-event.ts";
import type { DebugRequest, DebugRules } from "./debug-rules.ts";

/** Options of {@link DebugStorage}. */
export interface DebugStorageOptions {
  /** Which requests fail. Several storages may share them. Default: none. */
  readonly rules?: DebugRules;
  /** Where requests stop. Default: nowhere. */
  readonly breakpoints?: Breakpoints;
}

/** A call with the events before and after it, and what it is to rules. */
interface Judged {
  readonly before: readonly DebugEvent[];
  readonly after?: DebugEvent;
  readonly request?: DebugRequest;
  readonly offset?: number;
  readonly length?: number;
}

/**
 * A storage whose requests fail by rules, and stop at breakpoints: what QEMU's driver `blkdebug` is. A request that fails has not been done.
 * Breakpoints work in the asynchronous world only; in the synchronous one they are `ERR_IMG_ASYNC_ONLY`.
 */
export class DebugStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  readonly rules: DebugRules | undefined;
  readonly breakpoints: Breakpoints | undefined;
  /** What lies where, so that events about data and tables happen. Without it they don't. */
  regionAt: ((offset: number) => DebugRegion) | undefined;

  constructor(inner: S, options: DebugStorageOptions = {}) {
    super(inner);
    this.rules = options.rules;
    this.breakpoints = options.breakpoints;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    if (call.method === "close") {
      this.breakpoints?.clear();
    }
    const judged = this.#describe(call);
    if (judged === undefined) {
      return proceed();
    }
    return this.#stops(judged) ? this.#slowly(judged, proceed) : this.#atOnce(judged, call.method, proceed);
  }

  #stops({ before, after }: Judged): boolean {
    const events = after === undefined ? before : [...before, after];
    return events.some((event) => this.breakpoints?.isSet(event) === true);
  }

  #atOnce<T>(judged: Judged, doing: string, proceed: () => MaybePromise<T>): MaybePromise<T> {
    const { before, after } = judged;
    const noteEnd = (): void => {
      if (after !== undefined) {
        this.rules?.note(after);
      }
    };
    let answer: MaybePromise<T>;
    try {
      for (const event of before) {
        this.rules?.note(event);
      }
      this.#check(doing, judged);
      answer = proceed();
    } catch (error) {
      noteEnd();
      throw error;
    }
    if (isPromise(answer)) {
      return answer.finally(noteEnd);
    }
    noteEnd();
    return answer;
  }

  async #slowly<T>(judged: Judged, proceed: () => MaybePromise<T>): Promise<T> {
    for (const event of judged.before) {
      this.rules?.note(event);
      await this.breakpoints?.reach(event);
    }
    try {
      this.#check(judged.request ?? "request", judged);
      return await proceed();
    } finally {
      if (judged.after !== undefined) {
        this.rules?.note(judged.after);
        await this.breakpoints?.reach(judged.after);
      }
    }
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    const judged = this.#describe(call);
    if (judged === undefined) {
      return proceed();
    }
    for (const event of judged.before) {
      this.#noteSync(event);
    }
    try {
      this.#check(call.method, judged);
      return proceed();
    } finally {
      if (judged.after !== undefined) {
        this.#noteSync(judged.after);
      }
    }
  }

  #noteSync(event: DebugEvent): void {
    this.rules?.note(event);
    if (this.breakpoints?.isSet(event) === true) {
      throw new ImgError("ERR_IMG_ASYNC_ONLY", `${this.label}: a breakpoint at ${event} can't be waited for`, {
        subject: this.label,
      });
    }
  }

  #check(doing: string, { request, offset = 0, length = 0 }: Judged): void {
    const code = request === undefined ? undefined : this.rules?.judge(request, offset, length);
    if (code !== undefined) {
      throw Object.assign(new Error(`${code}: injected, ${doing}`), { code });
    }
  }

  #describe(call: StorageCall): Judged | undefined {
    switch (call.method) {
      case "read":
        return { before: this.#transfer(call), request: "read", offset: call.offset, length: call.length };
      case "write": {
        const { offset, length } = call;
        return {
          before: [...this.#transfer(call), "pwritev"],
          after: "pwritev_done",
          request: "write",
          offset,
          length,
        };
      }
      case "writeZeroes": {
        const { offset, length } = call;
        return { before: ["pwritev_zero"], after: "pwritev_done", request: "write-zeroes", offset, length };
      }
      case "discard":
        return { before: [], request: "discard", offset: call.offset, length: call.length };
      case "extents":
        return { before: [], request: "block-status", offset: call.offset, length: call.length };
      case "flush":
        return { before: this.regionAt === undefined ? [] : ["flush_to_os"] };
      case "sync":
        return { before: this.regionAt === undefined ? [] : ["flush_to_disk"], request: "flush" };
      default:
        return undefined;
    }
  }

  #transfer({ method, offset }: { readonly method: "read" | "write"; readonly offset: number }): DebugEvent[] {
    const region = this.regionAt?.(offset);
    const event = region === undefined ? undefined : transferEvent(method, region);
    return event === undefined ? [] : [event];
  }
}

/** The first {@link DebugStorage} among a storage and those that it decorates. */
export function debugStorageIn(storage: Storage): DebugStorage | undefined {
  let found: Storage = storage;
  while (found instanceof StorageDecorator && !(found instanceof DebugStorage)) {
    found = (found as StorageDecorator).inner;
  }
  return found instanceof DebugStorage ? (found as DebugStorage) : undefined;
}
