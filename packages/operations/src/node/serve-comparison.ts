import type { MessagePort } from "node:worker_threads";
import { runSync, type FormatAccess } from "@img/format-core";
import { chunkLength, compareRange } from "../compare/compare-range.ts";
import { ComparedImage } from "../compare/compared-image.ts";
import { ComparedParts, type ComparedPart } from "../compare/compared-parts.ts";
import type { ComparisonJob, ComparisonMessage } from "./compare-threads.ts";
import { openImageSync } from "./open-image.ts";

/**
 * Compares parts of two disks until none is left. The thread that began it holds the locks of all files. What differs and what goes wrong isn't told
 * but for where it is: that thread compares there once more.
 */
export function serveComparison(port: MessagePort, { images: specs, strict, total, memory }: ComparisonJob): void {
  const images: FormatAccess[] = [];
  try {
    const [first, second] = specs.map((spec, index) => {
      const image = openImageSync({ ...spec, blocking: "always", lock: "off", writable: false });
      images.push(image);
      return new ComparedImage(image, index === 0 ? "first" : "second", chunkLength);
    });
    if (first !== undefined && second !== undefined) {
      const begun: ComparisonMessage = "begun";
      port.postMessage(begun);
      compareParts(new ComparedParts(total, memory), { first, second, strict });
    }
  } catch {
    // an image that can't be opened here: the other thread has it open
  } finally {
    for (const image of images) {
      runSync(image.io.close());
    }
  }
}

function compareParts(
  parts: ComparedParts,
  images: { readonly first: ComparedImage; readonly second: ComparedImage; readonly strict: boolean },
): void {
  for (let part = parts.take(); part !== undefined; part = parts.take()) {
    const { start, end } = part;
    const current: ComparedPart = part;
    const goOn = (): boolean => parts.isWanted(current);
    try {
      const found = runSync(compareRange({ ...images, start, end, goOn }));
      if (found !== undefined) {
        parts.stopAt(current);
      } else if (parts.isWanted(current)) {
        parts.finish(current);
      }
    } catch {
      parts.stopAt(current);
    }
  }
}
