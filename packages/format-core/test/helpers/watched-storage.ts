import {
  InterceptingStorage,
  MemoryStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "../../src/index.ts";

/** Options of {@link WatchedStorage}. */
export interface WatchedStorageOptions {
  /** Microtasks by which a call is late; 0: it answers at once. Default 0. */
  readonly delay?: (call: StorageCall) => number;
}

/** Notes all calls, and makes them late or fail. */
export class WatchedStorage<S extends Storage = MemoryStorage> extends InterceptingStorage<S> {
  readonly calls: StorageCall[] = [];
  inFlight = 0;
  mostInFlight = 0;
  /** What a call fails with, if it does. */
  failure: (call: StorageCall) => Error | undefined = () => undefined;
  readonly #delay: (call: StorageCall) => number;

  constructor(inner: S, options: WatchedStorageOptions = {}) {
    super(inner);
    this.#delay = options.delay ?? (() => 0);
  }

  /** The calls of one method. */
  of<M extends StorageCall["method"]>(method: M): (StorageCall & { readonly method: M })[] {
    return this.calls.filter((call): call is StorageCall & { readonly method: M } => call.method === method);
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    this.calls.push(call);
    const delay = this.#delay(call);
    if (delay > 0) {
      return this.#late(call, delay, proceed);
    }
    this.#check(call);
    return proceed();
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    this.calls.push(call);
    this.#check(call);
    return proceed();
  }

  async #late<T>(call: StorageCall, delay: number, proceed: () => MaybePromise<T>): Promise<T> {
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      for (let turn = 0; turn < delay; turn++) {
        await Promise.resolve();
      }
      this.#check(call);
      const answer = await proceed();
      for (let turn = 0; turn < delay; turn++) {
        await Promise.resolve();
      }
      return answer;
    } finally {
      this.inFlight--;
    }
  }

  #check(call: StorageCall): void {
    const failure = this.failure(call);
    if (failure !== undefined) {
      throw failure;
    }
  }
}

/** An error as the host gives it. */
export function hostError(code: string): Error {
  return Object.assign(new Error(`${code}: as the host says`), { code });
}
