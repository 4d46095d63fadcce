import type { Io } from "@img/format-core";
import type { FormatManifest } from "./format-manifest.ts";
import type { FormatSubject } from "./format-subject.ts";

/** One case of the format suite, for both worlds and all decorations. */
export interface FormatCase {
  readonly name: string;
  /** Which formats it is for. Default: all. */
  readonly when?: (manifest: FormatManifest) => boolean;
  /**
   * Which variants it runs in: `"all"` · `"plain"` storages in both worlds, because it decorates them itself or decorations change nothing ·
   * `"async"` plain storages in the asynchronous world, because the world changes nothing either. Default `"all"`.
   */
  readonly variants?: "all" | "plain" | "async";
  /** How the image is opened before: for writing where the format can (`"writable"`), to be read, or by the case. Default `"writable"`. */
  readonly opens?: "writable" | "read-only" | "itself";
  run(subject: FormatSubject): Io<void>;
}

/** Images can be opened for writing. */
export const ifWritable = (manifest: FormatManifest): boolean => manifest.writable !== false;
