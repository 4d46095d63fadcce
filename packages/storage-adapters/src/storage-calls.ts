import { ImgError, LeaseLock, runAsync, type MaybePromise } from "@img/format-core";
import { foreignError } from "./foreign-error.ts";

/**
 * The calls into one foreign object: refuses those that come too late or change what is read-only, lets those that must be alone be alone, says
 * what failed, and closes when nothing is in flight any more.
 */
export class StorageCalls {
  readonly label: string;
  readonly writable: boolean;
  readonly #lock: LeaseLock;
  #closing: Promise<void> | undefined;

  /** @param label - names the storage in errors */
  constructor(label: string, writable: boolean) {
    this.label = label;
    this.writable = writable;
    this.#lock = new LeaseLock(label);
  }

  /** @throws ImgError `ERR_IMG_CLOSED` */
  checkOpen(): void {
    if (this.#closing !== undefined) {
      throw this.closed();
    }
  }

  /** @throws ImgError `ERR_IMG_CLOSED`; `ERR_IMG_READ_ONLY` */
  checkWritable(): void {
    this.checkOpen();
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
    }
  }

  /** The error of whoever uses it after closing. */
  closed(): ImgError {
    return new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
  }

  /**
   * Makes a call that others may overlap.
   *
   * @param doing - what is being done, for the error; only called when there is one
   */
  async shared<T>(doing: () => string, call: () => MaybePromise<T>): Promise<T> {
    this.checkOpen();
    if (!this.#lock.tryShared()) {
      await runAsync(this.#lock.shared());
    }
    try {
      return await call();
    } catch (error) {
      throw foreignError(error, doing(), this.label);
    } finally {
      this.#lock.releaseShared();
    }
  }

  /** Makes a call while no other one is in flight. */
  async alone<T>(doing: () => string, call: () => MaybePromise<T>): Promise<T> {
    this.checkOpen();
    return this.#alone(doing, call);
  }

  /** Closes, after everything that was begun before. Asking again gives the same promise. */
  close(release: () => MaybePromise<void>): Promise<void> {
    this.#closing ??= this.#alone(() => "close", release);
    return this.#closing;
  }

  async #alone<T>(doing: () => string, call: () => MaybePromise<T>): Promise<T> {
    await runAsync(this.#lock.exclusive());
    try {
      return await call();
    } catch (error) {
      throw foreignError(error, doing(), this.label);
    } finally {
      this.#lock.releaseExclusive();
    }
  }
}
