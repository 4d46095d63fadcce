import type {
  AnyFormat,
  CreateOptions,
  FormatAccess,
  Io,
  MaybePromise,
  Preallocation,
  Storage,
} from "@img/format-core";

/** What a format can do. */
export interface FormatManifest {
  /** Images can be opened for writing. Default `true`. */
  readonly writable?: boolean;
  /** Images can be created as the factory opens them. Default: as the factory or the format can create. */
  readonly creates?: boolean;
  /** `ensureDataMapping` works: every range can be written directly in a storage. Default: as {@link writable}. */
  readonly directWrites?: boolean;
  /** `discardToBacking` works. Default `false`: it is refused with `ERR_IMG_UNSUPPORTED`. */
  readonly discardsToBacking?: boolean;
  /** `resizeGrow` works. Default `false`: it is refused with `ERR_IMG_UNSUPPORTED`. */
  readonly grows?: boolean;
  /** `resizeShrink` works. Default `false`: it is refused with `ERR_IMG_UNSUPPORTED`. */
  readonly shrinks?: boolean;
  /** Ways to grow and to create that it knows; it may refuse others with `ERR_IMG_UNSUPPORTED`. Default: all. */
  readonly preallocations?: readonly Preallocation[];
  /** Its driver works in the synchronous world; `false` for one made by `fromAsyncDriver`. Default `true`. */
  readonly sync?: boolean;
  /** Any bytes are an image of it, as with raw ones. Default `false`: rubbish is refused. */
  readonly anything?: boolean;
  /**
   * A power cut loses nothing that was synced, and leaves an image that can be opened to be read. Default: as {@link writable}.
   */
  readonly crashSafe?: boolean;
  /** Bytes of the units (clusters, blocks) that the format maps; around their edges it is tested hardest. Default 65536. */
  readonly blockSize?: number;
  /** Bytes of the disks to test with: a multiple of 4096, and at least 7 blocks. Default 7 blocks and 4096. */
  readonly diskSize?: number;
  /** Storages that one image takes. Default 1. */
  readonly storages?: number;
  /** Random programs to run. Default 4. */
  readonly programs?: number;
  /** Images with changed bytes to open. Default 200. */
  readonly mutations?: number;
  /** Decides all random choices. Default 1. */
  readonly seed?: number;
}

/** How a suite gets images to test. */
export interface FormatFactory {
  readonly format: AnyFormat;
  /**
   * Makes an image whose disk reads as `disk`: what its storages hold, the main one first. Default: the format creates one and writes to it.
   */
  image?(disk: Uint8Array): MaybePromise<Uint8Array | readonly Uint8Array[]>;
  /**
   * Opens an image in storages that hold what {@link image} made; for formats that need options or several storages. Default:
   * `format.openIo` on the first.
   */
  open?(storages: readonly Storage[], options: { readonly writable: boolean }): Io<FormatAccess>;
  /** Creates an image in storages, which may hold rubbish. Default: `format.createIo` in the first, if the format can create. */
  create?(storages: readonly Storage[], options: CreateOptions): Io<FormatAccess>;
}
