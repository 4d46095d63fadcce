export { amendImage, amendImageSync, type AmendImageOptions, type AmendingDriver } from "./amend/amend-image.ts";
export { bench, benchSync, type BenchResult } from "./bench/bench.ts";
export type { BenchOptions } from "./bench/bench-settings.ts";
export type { BitmapDriver } from "./bitmap/bitmap-driver.ts";
export {
  addBitmap,
  addBitmapSync,
  clearBitmap,
  clearBitmapSync,
  disableBitmap,
  disableBitmapSync,
  enableBitmap,
  enableBitmapSync,
  listBitmaps,
  mergeBitmap,
  mergeBitmapSync,
  removeBitmap,
  removeBitmapSync,
  type MergedBitmap,
} from "./bitmap/change-bitmaps.ts";
export { copyBitmaps, copyBitmapsSync, type CopiedBitmaps } from "./bitmap/copy-bitmaps.ts";
export { dirtyExtents, dirtyExtentsSync, type DirtyExtentsOptions } from "./bitmap/dirty-extents.ts";
export { qemuCheck, qemuCheckLine, qemuRepairLines, type QemuCheck } from "./check/qemu-check.ts";
export {
  commit,
  commitSync,
  type CommitOptions,
  type CommitResult,
  type CommitSettings,
  type CommitSyncOptions,
} from "./commit/commit.ts";
export { compare, compareSync, type CompareOptions, type CompareResult } from "./compare/compare.ts";
export { CompareError, type CompareFailure } from "./compare/compare-error.ts";
export { convert, convertSync } from "./convert/convert.ts";
export type { ConvertOptions, ConvertResult } from "./convert/convert-options.ts";
export type { OnUnreadable, UnreadableArea } from "./convert/unreadable-area.ts";
export { Breakpoints, type BreakpointListener } from "./filters/breakpoints.ts";
export { CompressingStorage } from "./filters/compressing-storage.ts";
export { CopyOnReadStorage } from "./filters/copy-on-read-storage.ts";
export { debugEvents, type DebugEvent, type DebugRegion } from "./filters/debug-event.ts";
export {
  DebugRules,
  type DebugRequest,
  type DebugRulesOptions,
  type ErrorRule,
  type StateRule,
} from "./filters/debug-rules.ts";
export { DebugStorage, debugStorageIn, type DebugStorageOptions } from "./filters/debug-storage.ts";
export { DelayedStorage } from "./filters/delayed-storage.ts";
export { FixedStorage } from "./filters/fixed-storage.ts";
export { ImageStorage } from "./filters/image-storage.ts";
export { LimitedStorage, type LimitedStorageOptions } from "./filters/limited-storage.ts";
export {
  ThrottleGroup,
  type ThrottledKind,
  type ThrottleLimit,
  type ThrottleLimits,
} from "./filters/throttle-group.ts";
export { ThrottledStorage } from "./filters/throttled-storage.ts";
export { sectorAlignedSize } from "./image-size.ts";
export { backingLocation, hasProtocol } from "./info/backing-location.ts";
export { info, infoSync, type ImageInfo, type InfoOptions } from "./info/image-info.ts";
export {
  infoChain,
  infoChainSync,
  type ChainReference,
  type InfoChainOptions,
  type InfoChainSyncOptions,
} from "./info/info-chain.ts";
export { qemuInfo, type QemuInfo, type QemuSnapshot } from "./info/qemu-info.ts";
export type { MapEntry } from "./map/map-entry.ts";
export { map, mapBatches, mapBatchesSync, mapSync, type MapOptions } from "./map/map.ts";
export type { MapRange } from "./map/map-reader.ts";
export { qemuMapEntry, type QemuMapEntry } from "./map/qemu-map.ts";
export {
  measure,
  measureSync,
  type MeasureOptions,
  type MeasureResult,
  type MeasureSource,
} from "./measure/measure.ts";
export type { PartHelper } from "./parts/part-helper.ts";
export type { SharedPart, SharedParts } from "./parts/shared-parts.ts";
export type { Progress } from "./progress.ts";
export {
  applySnapshot,
  applySnapshotSync,
  createSnapshot,
  createSnapshotSync,
  deleteSnapshot,
  deleteSnapshotSync,
  listSnapshots,
  type SnapshotDriver,
} from "./snapshot/snapshot-image.ts";
export {
  changeBacking,
  changeBackingSync,
  rebase,
  rebaseSync,
  type NewBacking,
  type RebaseOptions,
  type RebaseResult,
} from "./rebase/rebase.ts";
export type { RebasingDriver } from "./rebase/rebase-job.ts";
export {
  resizeImage,
  resizeImageSync,
  type NewSize,
  type ResizeOptions,
  type ResizeResult,
} from "./resize/resize-image.ts";
export { streamImage, streamImageSync, type StreamedImage, type StreamedImageSync } from "./stream/stream-image.ts";
export type { StreamDetection, StreamOptions } from "./stream/stream-options.ts";
export type { SyncImage } from "./sync-image.ts";
