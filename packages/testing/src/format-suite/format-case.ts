import type { Io } from "@img/format-core";
import type { FormatManifest } from "./format-manifest.ts";
import type { FormatSubject } from "./format-subject.ts";

/** One case of the format suite, for both worlds and all decorations. */
export interface FormatCase {
  readonly name: string;
  /** Which formats it is for. Default: all. */
  readonly when?: (manifest: FormatManifest, canCreate: boolean) => boolean;
  /** Run it on plain storages only: it decorates them itself, or has nothing to gain. Default `false`. */
  readonly plain?: boolean;
  /** How the image is opened before: for writing where the format can (`"writable"`), to be read, or by the case. Default `"writable"`. */
  readonly opens?: "writable" | "read-only" | "itself";
  run(subject: FormatSubject): Io<void>;
}

/** Images can be opened for writing. */
export const ifWritable = (manifest: FormatManifest): boolean => manifest.writable !== false;
