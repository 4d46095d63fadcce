import { close, closeSync } from "node:fs";
import { ImgError, drive, isPromise, runSync, wrapHostError, type Io, type MaybePromise } from "@img/format-core";
import type { OpenFile } from "./open-file.ts";

/**
 * Who uses an open file: gives it out, counts what is in flight, and closes it when nothing is. Closing a descriptor earlier could hand
 * its number to another file, and the rest of a write with it.
 */
export class FileUse {
  readonly #file: OpenFile;
  readonly #closes: boolean;
  #closed = false;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  /** @param closes - whether the descriptor is closed in the end */
  constructor(file: OpenFile, closes: boolean) {
    this.#file = file;
    this.#closes = closes;
  }

  /** @throws ImgError `ERR_IMG_CLOSED` */
  opened(): OpenFile {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.#file.label} is closed`, { subject: this.#file.label });
    }
    return this.#file;
  }

  /** @throws ImgError `ERR_IMG_CLOSED`; `ERR_IMG_READ_ONLY` */
  writing(): OpenFile {
    const file = this.opened();
    if (!file.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${file.label} is read-only`, { subject: file.label });
    }
    return file;
  }

  /**
   * Waits for something that calls back.
   *
   * @param start - begins it; what it gets is called once, with an error or `undefined`
   * @param doing - what is being done, for the error
   */
  wait(start: (settled: (error: unknown) => void) => void, doing: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#inFlight++;
      const settled = (error: unknown): void => {
        this.#landed();
        if (error === undefined) {
          resolve();
        } else {
          reject(this.failed(error, doing));
        }
      };
      try {
        start(settled);
      } catch (error) {
        settled(error);
      }
    });
  }

  /** Runs an operation in the asynchronous world. */
  run<T>(operation: (file: OpenFile) => Io<T>, doing: () => string): MaybePromise<T> {
    const file = this.opened();
    this.#inFlight++;
    let answer: MaybePromise<T>;
    try {
      answer = drive(operation(file));
    } catch (error) {
      this.#landed();
      throw this.failed(error, doing);
    }
    if (!isPromise(answer)) {
      this.#landed();
      return answer;
    }
    return answer.then(
      (value) => {
        this.#landed();
        return value;
      },
      (error: unknown) => {
        this.#landed();
        throw this.failed(error, doing);
      },
    );
  }

  /**
   * Keeps the file open until `body` is done, which uses it for an operation of another one.
   *
   * @throws ImgError `ERR_IMG_CLOSED`
   */
  hold<T>(body: (file: OpenFile) => MaybePromise<T>): MaybePromise<T> {
    const file = this.opened();
    this.#inFlight++;
    let answer: MaybePromise<T>;
    try {
      answer = body(file);
    } catch (error) {
      this.#landed();
      throw error;
    }
    if (!isPromise(answer)) {
      this.#landed();
      return answer;
    }
    return answer.finally(() => {
      this.#landed();
    });
  }

  /** Runs an operation in the synchronous world. */
  runSync<T>(operation: (file: OpenFile) => Io<T>, doing: () => string): T {
    const file = this.opened();
    try {
      return runSync(operation(file));
    } catch (error) {
      throw this.failed(error, doing);
    }
  }

  /** The host's `error` with what was being done. */
  failed(error: unknown, doing: () => string): unknown {
    return wrapHostError(error, `${this.#file.label}: cannot ${doing()}`, this.#file.label);
  }

  /** Closes the file when nothing is in flight any more. Asking again gives the same promise. */
  close(): Promise<void> {
    this.#closed = true;
    this.#closing ??= this.#whenIdle();
    return this.#closing;
  }

  /** Closes the file at once, or when nothing is in flight any more. Asking again does nothing. */
  closeSync(): void {
    if (this.#inFlight > 0 && this.#closing === undefined) {
      // nobody waits for it, and what could go wrong is no reason to end the process
      this.close().catch(() => undefined);
    }
    this.#closed = true;
    if (this.#closing !== undefined) {
      return;
    }
    this.#closing = Promise.resolve();
    if (this.#closes) {
      try {
        closeSync(this.#file.fd);
      } catch (error) {
        throw this.failed(error, () => "close");
      }
    }
  }

  #landed(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) {
      this.#onIdle?.();
    }
  }

  async #whenIdle(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    if (!this.#closes) {
      return;
    }
    await new Promise<void>((resolve, reject) => {
      close(this.#file.fd, (error) => {
        if (error) {
          reject(error);
        } else {
          resolve();
        }
      });
    }).catch((error: unknown) => {
      throw this.failed(error, () => "close");
    });
  }
}
