import type { MaybePromise, Storage, StoragePreallocation } from "@img/format-core";

/**
 * Whether a storage has an ability: `true` it has, and it works · `false` it doesn't even have the method ·
 * `"maybe"` the method may be missing, or refuse with `ERR_IMG_UNSUPPORTED`; where it works it has to be right.
 */
export type Ability = boolean | "maybe";

/** What a kind of storage can do. Everything is `false` unless it is said to be different. */
export interface StorageManifest {
  /** It can be written. Default `true`. */
  readonly writable?: boolean;
  /** Writes past the end make it longer; otherwise they fail. Default: as {@link writable}. */
  readonly grows?: boolean;
  /** `resize`. */
  readonly resizes?: boolean;
  /** Ways to grow that `resize` knows; it may refuse others with `ERR_IMG_UNSUPPORTED`. Default: all four. */
  readonly preallocations?: readonly StoragePreallocation[];
  /** `writeZeroes`. */
  readonly zeroes?: Ability;
  /**
   * `copyFrom`, between two storages that the factory made: `true`, it copies all that it is asked for, in however many calls · `"maybe"`, it may be
   * missing, or stop anywhere. What it says that it has copied has to be right.
   */
  readonly copies?: Ability;
  /** `discard`. */
  readonly discards?: Ability;
  /** `extents`. */
  readonly extents?: Ability;
  /** A gap of so many bytes between two writes is reported as a hole, at least in part. Default: nothing is expected. */
  readonly holes?: number;
  /** `allocatedSize`. */
  readonly allocatedSize?: Ability;
  /** `invalidate`. */
  readonly invalidates?: Ability;
  /** `resolve`. */
  readonly resolves?: Ability;
  /** The synchronous facet. */
  readonly sync?: boolean;
  /** What is written can be read again; otherwise everything reads as zero. Default `true`. */
  readonly retains?: boolean;
  /** It may hold no bytes at all. Default `true`. */
  readonly empty?: boolean;
  /** Highest offset in bytes that may be written to without taking much space. Default 0: no far offsets are tried. */
  readonly maxOffset?: number;
  /** Random programs to run. Default 8. */
  readonly programs?: number;
  /** Decides all random choices. Default 1. */
  readonly seed?: number;
}

/** How a suite gets storages to test. */
export interface StorageFactory {
  /**
   * Makes a storage that holds these bytes, and nothing else. Writable if the manifest says so. Its own to keep: no two share bytes.
   */
  create(contents: Uint8Array): MaybePromise<Storage>;
  /**
   * Opens again what `storage` kept, after it was flushed, synced and closed. Absent: what it held is gone then.
   */
  reopen?(storage: Storage): MaybePromise<Storage>;
  /** Like {@link create}, but read-only. Absent: only tested when the manifest says that nothing can be written. */
  readOnly?(contents: Uint8Array): MaybePromise<Storage>;
  /** Removes what `storage` leaves behind. It is closed already. */
  destroy?(storage: Storage): MaybePromise<void>;
}
