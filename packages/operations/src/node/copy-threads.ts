import type { FormatAccess } from "@img/format-core";
import type { FileOpenOptions } from "@img/storage-fs";
import type { ConvertSettings } from "../convert/convert-options.ts";
import { PartThreads, type PartJob } from "./part-threads.ts";
import type { SharedImages } from "./shared-images.ts";
import type { ThreadStarter } from "./thread-starter.ts";

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
 * @param sources - as they are open here
 */
export function copyThreads(
  job: Pick<CopyJob, "sources" | "target" | "settings">,
  sources: readonly FormatAccess[],
  starter: ThreadStarter,
): PartThreads {
  return new PartThreads(({ total, memory }): CopyJob => ({ kind: "copy", ...job, total, memory }), sources, starter);
}
