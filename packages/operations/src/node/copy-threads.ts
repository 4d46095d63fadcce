import type { FileOpenOptions } from "@img/storage-fs";
import type { ConvertSettings } from "../convert/convert-options.ts";
import { PartThreads, type PartJob } from "./part-threads.ts";
import type { SharedImages } from "./shared-images.ts";

/** A file that is open for writing in one thread, as another one can open it too. */
export interface SharedFile {
  readonly path: string;
  /** Its `identity`. */
  readonly file: string;
  readonly options: Pick<FileOpenOptions, "direct" | "native" | "writeBehind">;
}

/** What a thread is told that helps to copy disks onto a raw one. */
export interface CopyJob extends PartJob {
  readonly kind: "copy";
  readonly sources: SharedImages;
  readonly target: SharedFile;
  readonly settings: ConvertSettings;
}

/**
 * Threads that help to copy disks onto a raw one in a file, each with descriptors of its own: each reads, decompresses and writes parts of it.
 * @param count - most threads
 * @param entry - the module that a thread runs
 */
export function copyThreads(
  job: Pick<CopyJob, "sources" | "target" | "settings">,
  count: number,
  entry: URL,
): PartThreads {
  return new PartThreads(({ total, memory }): CopyJob => ({ kind: "copy", ...job, total, memory }), count, entry);
}
