import type { DebugEvent } from "./debug-event.ts";

/** A request that stands at a breakpoint. */
interface Suspended {
  readonly tag: string;
  readonly resume: () => void;
}

/** What is told when requests stop and go on. */
export interface BreakpointListener {
  onSuspend?(tag: string): void;
  onResume?(tag: string): void;
}

/** Places at which requests stop until somebody lets them go on. */
export class Breakpoints {
  #set: readonly { readonly event: DebugEvent; readonly tag: string }[] = [];
  readonly #suspended: Suspended[] = [];
  #waiting: { readonly tag: string; readonly reached: () => void }[] = [];
  #clearings = 0;
  /** Who is told; may be set at any time. */
  listener: BreakpointListener;

  constructor(listener: BreakpointListener = {}) {
    this.listener = listener;
  }

  /** Lets the next request stop that comes to `event`. */
  set(event: DebugEvent, tag: string): void {
    this.#set = [...this.#set, { event, tag }];
  }

  /** Whether a request would stop. */
  isSet(event: DebugEvent): boolean {
    return this.#set.some((each) => each.event === event);
  }

  /** Stops at all breakpoints of an event, which are gone then. */
  async reach(event: DebugEvent): Promise<void> {
    const hit = this.#set.filter((each) => each.event === event);
    this.#set = this.#set.filter((each) => each.event !== event);
    const clearings = this.#clearings;
    for (const { tag } of hit) {
      if (this.#clearings === clearings) {
        await this.#suspend(tag);
      }
    }
  }

  async #suspend(tag: string): Promise<void> {
    const resumed = new Promise<void>((resume) => {
      this.#suspended.push({ tag, resume });
    });
    this.listener.onSuspend?.(tag);
    for (const { reached } of this.#waiting.filter((each) => each.tag === tag)) {
      reached();
    }
    this.#waiting = this.#waiting.filter((each) => each.tag !== tag);
    await resumed;
    this.listener.onResume?.(tag);
  }

  /** Waits until a request stands at a breakpoint of this name, or until {@link clear}. */
  async wait(tag: string): Promise<void> {
    if (!this.#suspended.some((each) => each.tag === tag)) {
      await new Promise<void>((reached) => {
        this.#waiting.push({ tag, reached });
      });
    }
  }

  /**
   * Lets one request go on.
   * @returns `false`: none has stopped at a breakpoint of this name
   */
  resume(tag: string): boolean {
    const index = this.#suspended.findIndex((each) => each.tag === tag);
    const [found] = index < 0 ? [] : this.#suspended.splice(index, 1);
    found?.resume();
    return found !== undefined;
  }

  /**
   * Removes all breakpoints of this name, and lets all requests go on that have stopped there.
   * @returns `false`: there were none
   */
  remove(tag: string): boolean {
    const before = this.#set.length;
    this.#set = this.#set.filter((each) => each.tag !== tag);
    let found = this.#set.length < before;
    while (this.resume(tag)) {
      found = true;
    }
    return found;
  }

  /** {@link remove} for all of them; nobody waits for one any more. */
  clear(): void {
    this.#clearings++;
    this.#set = [];
    for (const { resume } of this.#suspended.splice(0)) {
      resume();
    }
    for (const { reached } of this.#waiting.splice(0)) {
      reached();
    }
  }
}
