export { blobStorage, type BlobLike, type BlobStorageOptions } from "./blob-storage.ts";
export { fileHandleStorage, type FileHandleStorageOptions } from "./file-handle-storage.ts";
export type { ForwardSource, ReadableStreamLike } from "./forward-pieces.ts";
export {
  forwardStorage,
  type ForwardStorage,
  type ForwardStorageOptions,
  type ForwardUsage,
} from "./forward-storage.ts";
export type { FileHandleLike } from "./handle-transfers.ts";
export type { RandomAccessCallback, RandomAccessLike } from "./random-access-calls.ts";
export {
  randomAccessStorage,
  type RandomAccessReadOptions,
  type RandomAccessWriteOptions,
} from "./random-access-storage.ts";
export { rangeStorage, type RangeSource } from "./range-storage.ts";
export {
  syncAccessHandleStorage,
  type SyncAccessHandleLike,
  type SyncAccessHandleStorageOptions,
} from "./sync-access-handle-storage.ts";
