import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { ImgError } from "@img/format-core";
import type { ConvertSettings } from "../convert/convert-options.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { SharedCursor } from "./shared-cursor.ts";

/** What a thread needs to take part in a conversion. */
export interface ConvertShare {
  readonly sources: readonly ImageSpec[];
  /** Raw. */
  readonly target: ImageSpec;
  readonly settings: ConvertSettings;
  /** The memory of the {@link SharedCursor}. */
  readonly cursor: SharedArrayBuffer;
}

/**
 * What a thread says: `ready`, and that it takes parts from now on; `done`, when nothing is left; `failed`, and nobody should
 * go on.
 */
export type ThreadMessage =
  | { readonly kind: "ready" | "done" }
  | { readonly kind: "failed"; readonly code: string | undefined; readonly message: string };

/** A conversion that is expected to take less than this isn't worth another thread: it would begin when we end. */
const worthwhile = 100;

/** MiB. A small one keeps the buffers that inflating leaves behind from piling up: 40 MB less for each thread, at no cost in time. */
const youngGeneration = 2;

/** The threads that help with a conversion, beside the one that began it. */
export class ConvertThreads {
  readonly #share: ConvertShare;
  readonly #cursor: SharedCursor;
  readonly #entry: URL;
  readonly #most: number;
  readonly #began = performance.now();
  readonly #ended: Promise<void>[] = [];
  #considered = false;
  #failure: { readonly error: unknown } | undefined;
  #helped = 0;

  /**
   * @param most - threads in all, this one included
   * @param entry - the module that a thread runs
   */
  constructor(share: ConvertShare, cursor: SharedCursor, most: number, entry: URL) {
    this.#share = share;
    this.#cursor = cursor;
    this.#most = most;
    this.#entry = entry;
  }

  /** Threads that took part, beside ours. */
  get helped(): number {
    return this.#helped;
  }

  /** Starts the threads, if what is left to do is worth it. Call it now and then. */
  consider(done: number, total: number): void {
    const elapsed = performance.now() - this.#began;
    if (this.#considered || elapsed < worthwhile / 4) {
      return;
    }
    if ((elapsed / Math.max(done, 1)) * (total - done) < worthwhile) {
      return;
    }
    this.#considered = true;
    if (existsSync(this.#entry)) {
      for (let index = 1; index < this.#most; index++) {
        this.#ended.push(this.#start());
      }
    }
  }

  /**
   * Waits until all threads have ended.
   * @throws what made one of them fail
   */
  async join(): Promise<void> {
    await Promise.all(this.#ended);
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  #start(): Promise<void> {
    return new Promise((resolve) => {
      const resourceLimits = { maxYoungGenerationSizeMb: youngGeneration };
      const worker = new Worker(this.#entry, { workerData: this.#share, execArgv: [], resourceLimits });
      let ready = false;
      worker.on("message", (message: ThreadMessage) => {
        ready = true;
        if (message.kind === "ready") this.#helped++;
        if (message.kind === "failed") this.#fail(toError(message));
      });
      worker.on("error", (error) => {
        // a thread that can't begin is no loss: it has taken nothing
        if (ready) this.#fail(error);
      });
      worker.on("exit", () => {
        resolve();
      });
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cursor.stop();
  }
}

/** Threads to use unless told otherwise: one for each processor. */
export function defaultThreads(): number {
  return availableParallelism();
}

function toError(message: Extract<ThreadMessage, { kind: "failed" }>): Error {
  return message.code === undefined ? new Error(message.message) : new ImgError(message.code, message.message);
}
