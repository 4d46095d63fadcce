import type { IoVector } from "@img/io-vector";
import type { Extent, Storage, StoragePreallocation, WriteZeroesOptions } from "./storage.ts";

/**
 * The synchronous facet of a storage that can always answer without waiting. Each method does what its namesake in
 * {@link Storage} does; a method that the storage lacks there may be absent here too.
 */
export interface SyncStorage extends Storage, Disposable {
  readSync(into: IoVector, offset: number): void;
  writeSync(from: IoVector, offset: number): void;
  writeZeroesSync?(offset: number, length: number, options?: WriteZeroesOptions): void;
  copyFromSync?(source: Storage, from: number, offset: number, length: number): number;
  discardSync?(offset: number, length: number): void;
  extentsSync?(offset: number, length: number): readonly Extent[];
  allocatedSizeSync?(): number;
  resizeSync?(size: number, preallocation?: StoragePreallocation): void;
  flushSync(): void;
  syncSync(): void;
  invalidateSync?(): void;
}

/** Whether `storage` has the synchronous facet. */
export function isSyncStorage(storage: Storage): storage is SyncStorage {
  return "readSync" in storage && typeof storage.readSync === "function";
}
