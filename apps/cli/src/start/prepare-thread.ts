import { statSync } from "node:fs";
import { PreparedThread } from "@img/operations/node";

/** Bytes on the disk from which on images are long enough for a second thread. */
const longEnough = 96 * 1024 * 1024;

/**
 * Starts the thread that helps to read images, while the verb is still being loaded: both take as long, and each has a processor.
 *
 * @param names - of images that threads may read; those that aren't files don't count
 * @returns `undefined`: they are short, or there is no processor for it
 */
export function prepareThread(names: readonly string[]): PreparedThread | undefined {
  const length = names.reduce((sum, name) => sum + bytesOnDisk(name), 0);
  return length >= longEnough ? PreparedThread.start() : undefined;
}

function bytesOnDisk(name: string): number {
  try {
    const stats = statSync(name);
    return stats.isFile() ? stats.blocks * 512 : 0;
  } catch {
    return 0;
  }
}
