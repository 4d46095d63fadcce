import type { MessagePort } from "node:worker_threads";
import { runSync } from "@img/format-core";
import { chunkLength, compareRange } from "../compare/compare-range.ts";
import { ComparedImage } from "../compare/compared-image.ts";
import type { ComparisonJob } from "./compare-threads.ts";
import { serveParts } from "./serve-parts.ts";
import { closeAll, openSharedImages } from "./shared-images.ts";

/** Compares parts of two disks until none is left. */
export function serveComparison(port: MessagePort, job: ComparisonJob, loaded: () => void): void {
  const images = openSharedImages(job.images);
  try {
    const [first, second] = images.map(
      (image, index) => new ComparedImage(image, index === 0 ? "first" : "second", chunkLength),
    );
    loaded();
    if (first !== undefined && second !== undefined) {
      serveParts(port, job, ({ start, end }, goOn) => {
        const found = runSync(compareRange({ first, second, strict: job.strict, start, end, goOn }));
        return found === undefined ? 0 : undefined;
      });
    }
  } finally {
    closeAll(images);
  }
}
