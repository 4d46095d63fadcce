import type { StorageOpeners } from "@img/format-core";
import type { BlockingPolicy, LockPolicy, NativePolicy } from "@img/storage-fs";

/** What an image may open by itself: everything, nothing, or what lies within a directory. */
export type GateSpec = "allow-all" | "deny-all" | { readonly within: string };

/**
 * Which image to open and how. Without {@link storages} it is plain data that can be sent to a worker thread, which opens the same image with
 * descriptors of its own.
 */
export interface ImageSpec {
  /** A file or block device. A plain name, whatever it looks like, unless it begins with a scheme of {@link storages}. */
  readonly path: string;
  /**
   * Kinds of storages beside files, by scheme: locations that begin with one of them and a colon are opened by its opener, here and wherever
   * {@link gate} lets an image open something. The options about files have no meaning there. Default: none.
   */
  readonly storages?: StorageOpeners;
  /** Name of the format. Default: it is guessed from the contents. */
  readonly format?: string;
  /** Open for writing. Default `false`. */
  readonly writable?: boolean;
  /** Allow writing although the format was only guessed. Default `false`. */
  readonly writeProbed?: boolean;
  /** How files answer. Default `"always"`: at once, which is fastest for jobs and needed in the synchronous world. */
  readonly blocking?: BlockingPolicy;
  /** Past the host's page cache. Default `false`. */
  readonly direct?: boolean;
  /** Default `"auto"`. */
  readonly lock?: LockPolicy;
  /**
   * `false`: opening without waiting (`openImageSync`) refuses files by `ERR_IMG_ASYNC_ONLY` that somebody has a lease on, instead of sleeping until they are
   * given back. For the files of this image and those that it opens by itself. Default `true`.
   */
  readonly sleeps?: boolean;
  /** Read although somebody else writes. Default `false`. */
  readonly forceShare?: boolean;
  /** Default `"auto"`. */
  readonly native?: NativePolicy;
  /** Read headers only, to describe the image; nothing else is opened. Default `false`. */
  readonly inspect?: boolean;
  /** `false`: what is written is left to the host to make durable whenever it likes. Default `true`. */
  readonly durable?: boolean;
  /** Show the disk as it was in this snapshot: its id or name, or exactly one of both. */
  readonly snapshot?: string | { readonly id?: string; readonly name?: string };
  /** Where a raw image begins in the file, bytes. Only for the format raw. */
  readonly rawOffset?: number;
  /** How many bytes of the file a raw image has. Only for the format raw. Default: up to the file's end. */
  readonly rawSize?: number;
  /** The image below; `null`: none. Default: what the image names, if {@link gate} allows it. */
  readonly backing?: ImageSpec | null;
  /** The external data file; `null`: none. Default: what the image names, if {@link gate} allows it. */
  readonly dataFile?: string | null;
  /** What the image, and those below, may open by themselves. Default `"deny-all"`. */
  readonly gate?: GateSpec;
}
