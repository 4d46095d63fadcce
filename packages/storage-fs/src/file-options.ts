import type { StoragePreallocation } from "@img/format-core";

/**
 * Whether calls of the asynchronous methods may block the thread while the host works.
 *
 * - `"always"`: they do everything at once and answer without a promise (but {@link FileStorage.sync}, which always waits). For command
 *   lines, workers, and everything else whose thread has nothing better to do.
 * - `"small"`: reads and writes of up to 64 KiB, and all of them on a memory file system, are done at once; longer ones go to libuv's thread pool,
 *   so that several of them go on together. For jobs that move much data.
 * - `"cached"`: reads of up to 256 KiB are answered at once when the host has the bytes in memory (known through the native helper, or because
 *   the file lies on a memory file system); everything that may wait for a medium goes to libuv's thread pool. For servers.
 * - `"never"`: every call into the host goes to the thread pool, but opening's quick questions.
 *
 * The synchronous methods always block.
 */
export type BlockingPolicy = "always" | "small" | "cached" | "never";

/**
 * Whether the file is locked against other users of disk images, the way QEMU does it.
 *
 * - `"auto"`: where the native helper and the file system can do it.
 * - `"on"`: always; `ERR_IMG_UNSUPPORTED` where it can't be done.
 * - `"off"`: never, neither own locks nor a look at others'.
 */
export type LockPolicy = "auto" | "on" | "off";

/** Whether the optional native helper (`koffi`) is used: `"auto"` when it is installed and runs on Linux, or `"off"`. */
export type NativePolicy = "auto" | "off";

/** Options of every way to get a {@link FileStorage}. */
export interface FileAccessOptions {
  /** Default `"cached"`. */
  readonly blocking?: BlockingPolicy;
  /**
   * After so many bytes that were written, the host is asked to begin writing them to the disk, so that {@link FileStorage.sync} has less to wait for in
   * the end. For files that are written once, from the beginning to the end. Asking may block: where `blocking` is `"never"`, nothing is asked. Needs
   * the native helper, and has no meaning with direct I/O. Default `Infinity`: the host decides when.
   */
  readonly writeBehind?: number;
  /** Default `"auto"`. */
  readonly native?: NativePolicy;
  /** Default `"auto"`. */
  readonly lock?: LockPolicy;
}

/** Options of {@link FileStorage.open}. */
export interface FileOpenOptions extends FileAccessOptions {
  /** Whether to write, too. Default `false`. */
  readonly writable?: boolean;
  /**
   * `true`: past the host's page cache (`O_DIRECT`, Linux). The storage's limits then say which alignment it wants; the storage access
   * functions of `@img/format-core` take care of it. Default `false`.
   */
  readonly direct?: boolean;
  /** `true`: a reader goes on although somebody writes (and may read nonsense). Ignored when `writable`. Default `false`. */
  readonly forceShare?: boolean;
  /** `true`: a path whose last component is a symbolic link is refused. Default `false`. */
  readonly noFollow?: boolean;
  /** `false`: block devices are refused. Default `true`. */
  readonly blockDevices?: boolean;
  /** `true`: a block device is refused that is mounted or claimed by somebody else (`EBUSY`; Linux). Files don't know this. Default `false`. */
  readonly exclusive?: boolean;
  /**
   * `false`: without waiting, a file is refused (`ERR_IMG_ASYNC_ONLY`) that somebody has a lease on, where the thread would sleep until it is given back,
   * for up to a minute: for who goes on in the asynchronous world then. Default `true`.
   */
  readonly sleeps?: boolean;
  /** Gives up waiting until a lease is given back; opening then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link FileStorage.create}. */
export interface FileCreateOptions extends FileAccessOptions {
  /** Length in bytes that the file gets. Default 0. */
  readonly size?: number;
  /** How the file gets its length. Default `"zero"`, which makes it sparse. */
  readonly preallocation?: StoragePreallocation;
  /** `true`: a file that exists is emptied; a block device that exists is taken as it is. Default `false`: `EEXIST`. */
  readonly overwrite?: boolean;
  /** As in {@link FileOpenOptions.direct}. */
  readonly direct?: boolean;
  /** Permissions of a new file before the umask is applied. Default `0o666`. */
  readonly mode?: number;
  /** As in {@link FileOpenOptions.sleeps}, where a file is overwritten. */
  readonly sleeps?: boolean;
  /** As in {@link FileOpenOptions.signal}, where a file is overwritten. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link FileStorage.fromFd}. */
export interface FileDescriptorOptions extends FileAccessOptions {
  /** Whether to write, too; the descriptor must have been opened for reading and writing then, and not for appending. Default `false`. */
  readonly writable?: boolean;
  /** Whether the descriptor was opened with `O_DIRECT`. On Linux the host is asked instead. Default `false`. */
  readonly direct?: boolean;
  /** As in {@link FileOpenOptions.forceShare}. */
  readonly forceShare?: boolean;
  /** The name of the file, if it has one. Without it, the storage has no location and can't resolve relative names. */
  readonly path?: string;
  /** `false`: closing the storage leaves the descriptor open. Default `true`. */
  readonly close?: boolean;
}
