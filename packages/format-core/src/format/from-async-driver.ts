import type { IoVector } from "@img/io-vector";
import { perform, type Io, type MaybePromise } from "../io/io.ts";
import type { ShallowMapping } from "../mapping/mapping.ts";
import type { GuestOffset } from "../numbers/offsets.ts";
import type { FormatDriver, HandledRange, PreparedWrite, PrepareWriteOptions } from "./driver.ts";
import type { Preallocation } from "./preallocation.ts";

/** The methods of a {@link FormatDriver} that may wait, as plain `async` methods. */
interface AsyncMethods {
  getMapping(offset: GuestOffset, maxLength: number): MaybePromise<ShallowMapping>;
  readSpecial?(into: IoVector, offset: GuestOffset): MaybePromise<void>;
  checkWrite?(offset: GuestOffset, from: IoVector): MaybePromise<(() => void) | undefined>;
  prepareWrite?(offset: GuestOffset, length: number, options: PrepareWriteOptions): MaybePromise<PreparedWrite>;
  writeCompressed?(from: IoVector, offset: GuestOffset): MaybePromise<void>;
  ensureZeroMapping?(offset: GuestOffset, length: number): MaybePromise<HandledRange>;
  discardToZero?(offset: GuestOffset, length: number): MaybePromise<HandledRange>;
  discardToAny?(offset: GuestOffset, length: number): MaybePromise<HandledRange>;
  discardToBacking?(offset: GuestOffset, length: number): MaybePromise<HandledRange>;
  resizeGrow?(size: number, preallocation: Preallocation): MaybePromise<void>;
  resizeShrink?(size: number): MaybePromise<void>;
  flush(): MaybePromise<void>;
  sync(): MaybePromise<void>;
  invalidateCache?(options: { readonly discardDirty: boolean }): MaybePromise<void>;
  close(): MaybePromise<void>;
  hasSparseData?(): MaybePromise<boolean>;
}

/** A {@link FormatDriver} written with plain `async` methods instead of generators. */
export type AsyncFormatDriver = Omit<FormatDriver, keyof AsyncMethods> & AsyncMethods;

const waiting = [
  "getMapping",
  "readSpecial",
  "checkWrite",
  "prepareWrite",
  "writeCompressed",
  "ensureZeroMapping",
  "discardToZero",
  "discardToAny",
  "discardToBacking",
  "resizeGrow",
  "resizeShrink",
  "flush",
  "sync",
  "invalidateCache",
  "close",
  "hasSparseData",
] as const satisfies readonly (keyof AsyncMethods)[];

/**
 * Makes a driver out of one whose methods are plain `async` functions. It works wherever promises do; the synchronous world
 * refuses it by name with `ERR_IMG_ASYNC_ONLY`.
 */
export function fromAsyncDriver<D extends AsyncFormatDriver>(driver: D): FormatDriver & { readonly async: D } {
  const adapted: Record<string, unknown> = { async: driver };
  for (const name of waiting) {
    const method = Reflect.get(driver, name) as ((...args: unknown[]) => MaybePromise<unknown>) | undefined;
    if (method !== undefined) {
      adapted[name] = (...args: unknown[]): Io<unknown> =>
        perform({ label: String(driver), async: () => method.apply(driver, args) });
    }
  }
  // not of the driver itself: a proxy can't show other members than a frozen object's own
  return new Proxy(Object.create(driver) as object, {
    // `size` and the like are live: everything that doesn't wait is asked of the driver itself
    get: (_target, key) => {
      if (typeof key === "string" && Object.hasOwn(adapted, key)) {
        return adapted[key];
      }
      const value: unknown = Reflect.get(driver, key, driver);
      return typeof value === "function" ? (value.bind(driver) as unknown) : value;
    },
    set: (_target, key, value) => Reflect.set(driver, key, value, driver),
    has: (_target, key) => Object.hasOwn(adapted, key) || Reflect.has(driver, key),
  }) as unknown as FormatDriver & { readonly async: D };
}
