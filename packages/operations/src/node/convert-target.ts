import type { BlockingPolicy, FileAccessOptions, FileOpenOptions } from "@img/storage-fs";
import type { StorageOpeners } from "@img/format-core";
import type { GateSpec } from "./image-spec.ts";

/** What {@link convertImages} writes. */
export interface ConvertTarget extends Pick<FileAccessOptions, "native" | "lock">, Pick<FileOpenOptions, "sleeps"> {
  /**
   * Whether this thread may wait for the host while it writes; sources say it for themselves. Default `"small"`: only as long as little data
   * takes.
   */
  readonly blocking?: BlockingPolicy;
  /**
   * A file or block device. A plain name, whatever it looks like, unless it begins with a scheme of {@link storages}: what that leads to has to be there, is
   * written in place, and keeps its length.
   */
  readonly path: string;
  /** As in `ImageSpec`: for the target, and for the image below. */
  readonly storages?: StorageOpeners;
  /** Name of the format. */
  readonly format: string;
  /** Options of the format for creating an image, beside its size. */
  readonly createOptions?: Readonly<Record<string, unknown>>;
  /**
   * The image below a new image, as that is to name it: relative names are relative to the new image's directory. What it shows already isn't
   * written.
   */
  readonly backingFile?: { readonly name: string; readonly format: string };
  /** The external data file of a new image, as that is to name it. It is made as well, or replaced. */
  readonly dataFile?: string;
  /** Past the host's page cache. Default `false`. */
  readonly direct?: boolean;
  /** What an existing target, or the image below a new one, may open by itself. Default `"deny-all"`. */
  readonly gate?: GateSpec;
}
