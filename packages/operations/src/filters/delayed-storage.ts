import {
  drive,
  InterceptingStorage,
  runSync,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import { pause } from "./pause.ts";

const delayed: readonly StorageCall["method"][] = ["read", "write", "writeZeroes", "discard", "sync"];

/** A storage that answers late: every request takes at least as long as said. */
export class DelayedStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  readonly #milliseconds: number;

  constructor(inner: S, milliseconds: number) {
    super(inner);
    this.#milliseconds = milliseconds;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    return delayed.includes(call.method) ? this.#late(proceed) : proceed();
  }

  async #late<T>(proceed: () => MaybePromise<T>): Promise<T> {
    await drive(pause(this.#milliseconds));
    return proceed();
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    if (delayed.includes(call.method)) {
      runSync(pause(this.#milliseconds));
    }
    return proceed();
  }
}
