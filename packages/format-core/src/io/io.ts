/** A value, or a promise of it. Whoever has the answer at once returns it without a promise. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * One thing that an {@link Io} waits for: a call into a storage, or a lock. Steps exist only at these leaves.
 *
 * `async` may answer at once; only a real promise is awaited. `sync` is there when the answer can be had without waiting
 * for the event loop; without it, the operation is refused in the synchronous world.
 */
export interface Step<T = unknown> {
  /** Names who is asked (a storage's label), for the error that a missing `sync` gives. */
  readonly label: string;
  async(signal?: AbortSignal): MaybePromise<T>;
  sync?(signal?: AbortSignal): T;
  /** `true`: a place where the operation may be aborted without leaving anything half done. */
  readonly safePoint?: boolean;
}

/**
 * An operation that is written once and driven in both worlds: by {@link runAsync} as a promise, by {@link runSync} as a plain call.
 *
 * Inside, `yield*` stands where an async function would `await`. An `Io` does nothing until it is driven, so one that is
 * created and dropped is a mistake (a lint rule finds it).
 */
export type Io<T> = Generator<Step, T, unknown>;

/** Turns one step into an {@link Io}. Drivers rarely need it: the storage access functions are `Io`s already. */
export function* perform<T>(step: Step<T>): Io<T> {
  return (yield step) as T;
}

const checkpointStep: Step<void> = {
  label: "checkpoint",
  async: () => undefined,
  sync: () => undefined,
  safePoint: true,
};

/** A safe point: when the operation's `AbortSignal` is aborted, the signal's reason is thrown here. */
export function* checkpoint(): Io<void> {
  yield checkpointStep;
}

/** Whether `value` has to be waited for. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
