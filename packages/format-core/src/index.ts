export { commitAfter } from "./access/commit-after.ts";
export { FormatAccess, type AbortOptions, type PlanReadOptions } from "./access/format-access.ts";
export type { DataMapping, FormatIo } from "./access/format-io.ts";
export { moveFastSync } from "./access/move-fast-sync.ts";
export type { ReadStep } from "./access/read-plan.ts";
export { TableCache, type TableCacheOptions } from "./cache/table-cache.ts";
export { ImgError, isImgError, type ImgErrorCode, type ImgErrorDetails } from "./errors/img-error.ts";
export { wrapHostError } from "./errors/wrap-host-error.ts";
export { defineFormat, type Format, type FormatDefinition } from "./format/define-format.ts";
export type {
  FormatDriver,
  HandledRange,
  PreparedWrite,
  PrepareWriteOptions,
  ReadAtOnce,
  WriteAround,
} from "./format/driver.ts";
export {
  FormatRegistry,
  type AnyFormat,
  type ProbeResult,
  type RegistryOpenOptions,
} from "./format/format-registry.ts";
export { fromAsyncDriver, type AsyncFormatDriver } from "./format/from-async-driver.ts";
export type {
  ImageDescription,
  JsonValue,
  ReferenceDescription,
  SnapshotDescription,
} from "./format/image-description.ts";
export type { CreateOptions, OpenOptions } from "./format/open-options.ts";
export type { Preallocation } from "./format/preallocation.ts";
export { allowAll } from "./gate/allow-all.ts";
export { allowWithin } from "./gate/allow-within.ts";
export { denyAll } from "./gate/deny-all.ts";
export { defaultDepthLimit, OpenChain } from "./gate/open-chain.ts";
export { gateFromFunctions, type ImplicitReference, type OpenGate } from "./gate/open-gate.ts";
export { openBackingImage, type OpenGateOptions } from "./gate/open-gate-options.ts";
export { openerByScheme, openerForLocation, type StorageOpeners } from "./gate/opener-by-scheme.ts";
export { openerFromFunctions, type StorageOpenerFunctions } from "./gate/opener-from-functions.ts";
export type { StorageOpener } from "./gate/storage-opener.ts";
export { all } from "./io/all.ts";
export { checkpoint, isPromise, perform, type Io, type MaybePromise, type Step } from "./io/io.ts";
export { KeyedMutex } from "./io/keyed-mutex.ts";
export { LeaseLock, type Lease } from "./io/lease-lock.ts";
export { Mutex } from "./io/mutex.ts";
export { RangeLocks, type RangeRelease } from "./io/range-locks.ts";
export { drive, runAsync } from "./io/run-async.ts";
export { runSync } from "./io/run-sync.ts";
export { TaskGroup } from "./io/task-group.ts";
export { WaitQueue } from "./io/wait-queue.ts";
export { formatMapping } from "./mapping/format-mapping.ts";
export type {
  EofMapping,
  HostPlace,
  IndirectMapping,
  Mapping,
  PlacedMapping,
  RawMapping,
  ShallowMapping,
  SpecialMapping,
  ZeroMapping,
} from "./mapping/mapping.ts";
export {
  alignDown,
  alignUp,
  checkOffset,
  checkRange,
  guestOffset,
  hex,
  hostOffset,
  uint64,
  type GuestOffset,
  type HostOffset,
} from "./numbers/offsets.ts";
export type { ImgPlugin } from "./plugin/img-plugin.ts";
export { AlignedBuffer } from "./storage-access/aligned-buffer.ts";
export { closeAfterFailure, closeStorage } from "./storage-access/close-storage.ts";
export { copyStorage, type StorageRange } from "./storage-access/copy-storage.ts";
export { discardStorage } from "./storage-access/discard-storage.ts";
export { readStorage } from "./storage-access/read-storage.ts";
export { storageExtents } from "./storage-access/storage-extents.ts";
export {
  flushStorage,
  invalidateStorage,
  resizeStorage,
  storageAllocatedSize,
  syncStorage,
} from "./storage-access/storage-lifecycle.ts";
export { tryResizeStorage } from "./storage-access/try-resize-storage.ts";
export { writeStorage } from "./storage-access/write-storage.ts";
export { writeZeroBytes, zeroStorage } from "./storage-access/zero-storage.ts";
export { AnnotatedStorage } from "./storage/annotated-storage.ts";
export { InterceptingStorage, type StorageCall } from "./storage/intercepting-storage.ts";
export { MemoryStorage, type MemoryStorageOptions } from "./storage/memory-storage.ts";
export { NullStorage } from "./storage/null-storage.ts";
export {
  anyLimits,
  type Extent,
  type Storage,
  type StorageLimits,
  type StoragePreallocation,
  type WriteZeroesOptions,
} from "./storage/storage.ts";
export { StorageDecorator } from "./storage/storage-decorator.ts";
export { isSyncStorage, type SyncStorage } from "./storage/sync-storage.ts";
