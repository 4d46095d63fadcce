import type { FormatAccess } from "@img/format-core";
import type { PartHelper } from "../parts/part-helper.ts";
import type { ImageSpec } from "./image-spec.ts";
import { PartThreads, type PartJob } from "./part-threads.ts";
import { defaultThreads } from "./reader-threads.ts";
import { isInFiles, sharedImages, type SharedImages } from "./shared-images.ts";

/** What a thread is told that helps to compare. */
export interface ComparisonJob extends PartJob {
  readonly kind: "compare";
  readonly images: SharedImages;
  readonly strict: boolean;
}

/** Options of {@link compareThreads}. */
export interface CompareThreadsOptions {
  /** As for the comparison. Default `false`. */
  readonly strict?: boolean;
  /** Threads that compare, the one included that was asked to; 1: that one alone. Default: one for each processor, up to 4. */
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

/**
 * Threads that help `compare`, each with descriptors of its own. They are started when there is enough to do.
 *
 * @returns `undefined`: this thread has to do it alone, because an image lies elsewhere than in files, or because there is one processor
 */
export function compareThreads(
  a: OpenedImage,
  b: OpenedImage,
  options: CompareThreadsOptions = {},
): PartHelper | undefined {
  const { strict = false, threads = defaultThreads() } = options;
  const { workerEntry = new URL("./node-worker.js", import.meta.url) } = options;
  if (threads < 2 || ![a, b].every(({ image, spec }) => isInFiles(image, spec))) {
    return undefined;
  }
  const images = sharedImages([a.image, b.image], [a.spec, b.spec]);
  const job = ({ total, memory }: { total: number; memory: SharedArrayBuffer }): ComparisonJob => ({
    kind: "compare",
    images,
    strict,
    total,
    memory,
  });
  return new PartThreads(job, threads - 1, workerEntry);
}
