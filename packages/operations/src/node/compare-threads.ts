import type { FormatAccess } from "@img/format-core";
import type { PartHelper } from "../parts/part-helper.ts";
import type { ImageSpec } from "./image-spec.ts";
import { PartThreads, type PartJob } from "./part-threads.ts";
import { isInFiles, sharedImages, type SharedImages } from "./shared-images.ts";
import { ThreadStarter, type ThreadOptions } from "./thread-starter.ts";

/** What a thread is told that helps to compare. */
export interface ComparisonJob extends PartJob {
  readonly kind: "compare";
  readonly images: SharedImages;
  readonly strict: boolean;
}

/** Options of {@link compareThreads}. */
export interface CompareThreadsOptions extends ThreadOptions {
  /** As for the comparison. Default `false`. */
  readonly strict?: boolean;
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
  const { strict = false } = options;
  const starter = new ThreadStarter(options);
  if (starter.most < 2 || ![a, b].every(({ image, spec }) => isInFiles(image, spec))) {
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
  return new PartThreads(job, [a.image, b.image], starter);
}
