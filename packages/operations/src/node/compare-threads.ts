import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { perform, type FormatAccess, type Io } from "@img/format-core";
import type { CompareHelper } from "../compare/compare-helper.ts";
import type { ComparedParts } from "../compare/compared-parts.ts";
import type { ImageSpec } from "./image-spec.ts";
import { defaultThreads } from "./reader-threads.ts";
import { isInFiles, withoutOpeners } from "./thread-specs.ts";

/** What a thread is told that helps to compare. */
export interface ComparisonJob {
  readonly kind: "compare";
  readonly images: readonly [ImageSpec, ImageSpec];
  readonly strict: boolean;
  readonly total: number;
  /** Of the `ComparedParts`. */
  readonly memory: SharedArrayBuffer;
}

/** What it says: that it has opened the images. */
export type ComparisonMessage = "begun";

/** Options of {@link compareThreads}. */
export interface CompareThreadsOptions {
  /** As for the comparison. Default `false`. */
  readonly strict?: boolean;
  /** Threads that compare, the one included that was asked to; 1: that one alone. Default: one for each processor. */
  readonly threads?: number;
  /**
   * Where the module `node-worker.js` of this package is, for programs that are bundled. Default: beside the module that is running; where it
   * isn't, one thread does it all.
   */
  readonly workerEntry?: URL;
}

/** An image that is open, and how it was opened. */
export interface OpenedImage {
  readonly image: FormatAccess;
  readonly spec: ImageSpec;
}

/** A comparison that is expected to take less than this isn't worth threads, milliseconds: it would end when they begin. */
const worthwhile = 80;

/** MiB. A small one keeps the buffers that inflating leaves behind from piling up. */
const youngGeneration = 2;

/**
 * Threads that help `compare`, each with descriptors of its own. They are started when there is enough to do.
 *
 * @returns `undefined`: this thread has to do it alone, because an image lies elsewhere than in files, or because there is one processor
 */
export function compareThreads(
  a: OpenedImage,
  b: OpenedImage,
  options: CompareThreadsOptions = {},
): CompareHelper | undefined {
  const { strict = false, threads = defaultThreads() } = options;
  const { workerEntry: entry = new URL("./node-worker.js", import.meta.url) } = options;
  if (threads < 2 || ![a, b].every(({ image, spec }) => isInFiles(image, spec))) {
    return undefined;
  }
  return new CompareThreads([specOf(a), specOf(b)], strict, threads - 1, entry);
}

/** The format that was guessed isn't guessed again. */
function specOf({ image, spec }: OpenedImage): ImageSpec {
  return withoutOpeners({ ...spec, format: image.driver.format });
}

class CompareThreads implements CompareHelper {
  readonly #images: ComparisonJob["images"];
  readonly #strict: boolean;
  readonly #count: number;
  readonly #entry: URL;
  readonly #began = performance.now();
  #ended: Promise<void>[] | undefined;
  /** Threads that haven't begun to compare. */
  #starting = 0;

  constructor(images: ComparisonJob["images"], strict: boolean, count: number, entry: URL) {
    this.#images = images;
    this.#strict = strict;
    this.#count = count;
    this.#entry = entry;
  }

  *consider(parts: ComparedParts): Io<void> {
    if (this.#ended === undefined) {
      this.#startIfWorthwhile(parts);
    }
    // a thread that starts asks this one for something several times: it would take long if nobody answered while there is work
    if (this.#starting > 0) {
      yield* perform({ label: "the event loop", async: () => new Promise<void>((resolve) => setImmediate(resolve)) });
    }
  }

  #startIfWorthwhile(parts: ComparedParts): void {
    const { done, total } = parts;
    const elapsed = performance.now() - this.#began;
    if (done === 0 || (elapsed / done) * (total - done) < worthwhile) {
      return;
    }
    const count = existsSync(this.#entry) ? this.#count : 0;
    this.#ended = Array.from({ length: count }, () => this.#start(parts));
  }

  /** Resolves when the thread has ended, however: what it didn't find equal is compared once more. */
  #start({ total, memory }: ComparedParts): Promise<void> {
    const job: ComparisonJob = { kind: "compare", images: this.#images, strict: this.#strict, total, memory };
    const worker = new Worker(this.#entry, {
      workerData: job,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: youngGeneration },
    });
    this.#starting++;
    let isStarting = true;
    const began = (): void => {
      this.#starting -= isStarting ? 1 : 0;
      isStarting = false;
    };
    return new Promise((resolve) => {
      worker.on("message", began);
      worker.on("error", () => {
        // the event that follows says the same
      });
      worker.on("exit", () => {
        began();
        resolve();
      });
    });
  }

  *end(): Io<void> {
    const ended = this.#ended;
    if (ended !== undefined && ended.length > 0) {
      yield* perform({ label: "comparing threads", async: () => Promise.all(ended) });
    }
  }
}
