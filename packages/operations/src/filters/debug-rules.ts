import type { DebugEvent } from "./debug-event.ts";

/** Kinds of requests that can be made to fail. */
export type DebugRequest = "read" | "write" | "write-zeroes" | "discard" | "flush" | "block-status";

/** Makes requests fail: the next one after {@link event}, and all that follow until an event with other such rules, or only that one. */
export interface ErrorRule {
  readonly event: DebugEvent;
  /** Only in this state. Default: in all. */
  readonly state?: number;
  /** The name of the errno; `null`: nothing fails. Default `"EIO"`. */
  readonly error?: string | null;
  /** Only requests with the byte at this offset. Default: all. */
  readonly offset?: number;
  /** Only requests of this kind. Default: all but `block-status`. */
  readonly request?: DebugRequest;
  /** Fail one request only. Default `false`. */
  readonly once?: boolean;
}

/** Changes the state in which rules apply. It is 1 at first. */
export interface StateRule {
  readonly event: DebugEvent;
  /** Only in this state. Default: in all. */
  readonly state?: number;
  readonly newState: number;
}

/** What {@link DebugRules} are made of. */
export interface DebugRulesOptions {
  readonly errors?: readonly ErrorRule[];
  readonly states?: readonly StateRule[];
}

/** Rules that say which requests fail: what happened (events) puts them into force, and changes the state that they depend on. */
export class DebugRules {
  readonly #errors: ErrorRule[];
  readonly #states: readonly StateRule[];
  #inForce: readonly ErrorRule[] = [];
  #state = 1;

  /** Begins with the event `none`. */
  constructor({ errors = [], states = [] }: DebugRulesOptions = {}) {
    this.#errors = [...errors];
    this.#states = states;
    this.note("none");
  }

  /** The state that rules depend on. */
  get state(): number {
    return this.#state;
  }

  /** Something happens. */
  note(event: DebugEvent): void {
    const applies = (rule: ErrorRule | StateRule): boolean =>
      rule.event === event && (rule.state === undefined || rule.state === this.#state);
    const errors = this.#errors.filter(applies);
    const next = this.#states.filter(applies).at(-1);
    if (errors.length > 0) {
      this.#inForce = errors;
    }
    this.#state = next?.newState ?? this.#state;
  }

  /**
   * Whether a request is to fail now; a rule that fails one request only is spent.
   * @param length - bytes; 0 for what has no range
   * @returns the name of the errno, or `undefined`
   */
  judge(request: DebugRequest, offset: number, length: number): string | undefined {
    const rule = this.#inForce.find(
      (each) =>
        (each.offset === undefined || (each.offset >= offset && each.offset < offset + length)) &&
        (each.request === undefined ? request !== "block-status" : each.request === request),
    );
    if (rule === undefined || rule.error === null) {
      return undefined;
    }
    if (rule.once === true) {
      this.#inForce = this.#inForce.filter((each) => each !== rule);
      this.#errors.splice(this.#errors.indexOf(rule), 1);
    }
    return rule.error ?? "EIO";
  }
}
