import {
  drive,
  InterceptingStorage,
  isPromise,
  runSync,
  type Io,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import type { ThrottleGroup } from "./throttle-group.ts";

/** A storage whose requests wait for the limits of a group: what QEMU's driver `throttle` is. */
export class ThrottledStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  readonly #group: ThrottleGroup;

  constructor(inner: S, group: ThrottleGroup) {
    super(inner);
    this.#group = group;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    const admission = this.#admit(call);
    const admitted = admission === undefined ? undefined : drive(admission);
    return isPromise(admitted) ? admitted.then(proceed) : proceed();
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    const admission = this.#admit(call);
    if (admission !== undefined) {
      runSync(admission);
    }
    return proceed();
  }

  #admit(call: StorageCall): Io<void> | undefined {
    switch (call.method) {
      case "read":
        return this.#group.admit("read", call.length);
      case "write":
      case "writeZeroes":
      case "discard":
        return this.#group.admit("write", call.length);
      default:
        return undefined;
    }
  }
}
