import { InterceptingStorage, type Io, type MaybePromise, type Storage, type StorageCall } from "@img/format-core";

/** Longest that the event loop is kept, milliseconds. */
const slice = 50;

/** What a storage gains in one call when its bytes are allocated or written. */
const stepLength = 256 * 1024 * 1024;

/**
 * A storage that lets the event loop run now and then, although the one inside answers at once, and fails once a signal is aborted: for a new
 * file, which is thrown away then.
 */
export class PacedStorage extends InterceptingStorage {
  readonly #signal: AbortSignal | undefined;
  /** The clock isn't asked before there is something to wait for: Node takes a while to make it. */
  #since: number | undefined;

  constructor(inner: Storage, signal: AbortSignal | undefined) {
    super(inner);
    this.#signal = signal;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    if (call.method === "close") {
      return proceed();
    }
    this.#signal?.throwIfAborted();
    if (call.method === "resize" && (call.preallocation === "allocate" || call.preallocation === "write")) {
      return this.#grow(call.size, call.preallocation, proceed);
    }
    this.#since ??= performance.now();
    return performance.now() - this.#since < slice ? proceed() : this.#turn().then(proceed);
  }

  /** Nobody else has a turn while the thread is ours: only the signal matters. */
  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    if (call.method !== "close") {
      this.#signal?.throwIfAborted();
    }
    return proceed();
  }

  /** Grows in steps, the last of which is the call itself. */
  async #grow<T>(size: number, preallocation: "allocate" | "write", proceed: () => MaybePromise<T>): Promise<T> {
    while (this.inner.size + stepLength < size) {
      await this.inner.resize?.(this.inner.size + stepLength, preallocation);
      await this.#turn();
    }
    return proceed();
  }

  async #turn(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, 0);
    });
    this.#since = performance.now();
    this.#signal?.throwIfAborted();
  }
}

/**
 * What is done to a {@link PacedStorage}, which fails once its signal is aborted.
 * @throws the signal's reason itself, instead of the failures that it makes on the way
 */
export function* orReason<T>(io: Io<T>, signal: AbortSignal | undefined): Io<T> {
  try {
    return yield* io;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
