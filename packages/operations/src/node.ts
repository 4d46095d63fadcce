export { amendImageFile, amendImageFileSync, type AmendImageFileOptions } from "./node/amend-image-file.ts";
export {
  checkImageFile,
  checkImageFileSync,
  type CheckedImageFile,
  type CheckImageFileOptions,
} from "./node/check-image-file.ts";
export { commitImageFile, commitImageFileSync, type CommitImageFileOptions } from "./node/commit-image-file.ts";
export { compareImageFiles, compareImageFilesSync, type CompareImageFilesOptions } from "./node/compare-image-files.ts";
export { compareThreads, type CompareThreadsOptions, type OpenedImage } from "./node/compare-threads.ts";
export {
  convertImages,
  convertImagesSync,
  type ConvertImagesOptions,
  type ConvertImagesResult,
  type ConvertImagesSyncOptions,
} from "./node/convert-images.ts";
export type { ConvertTarget } from "./node/convert-target.ts";
export {
  createImageFile,
  createImageFileSync,
  type CreateImageFileOptions,
  type CreateImageFileSyncOptions,
  type NewImageFile,
} from "./node/create-image-file.ts";
export { ddImageFile, ddImageFileSync, type DdImageFileOptions, type DdImageFileResult } from "./node/dd-image-file.ts";
export { defaultFormats } from "./node/default-formats.ts";
export type { GateSpec, ImageSpec } from "./node/image-spec.ts";
export {
  infoImageFile,
  infoImageFileSync,
  type InfoImageFileOptions,
  type InspectedImageSpec,
} from "./node/info-image-file.ts";
export {
  infoImageFileChain,
  infoImageFileChainSync,
  type InfoImageFileChainOptions,
} from "./node/info-image-file-chain.ts";
export { mapImageFile, mapImageFileSync, type MapImageFileOptions } from "./node/map-image-file.ts";
export { measureImageFile, measureImageFileSync, type MeasureImageFileOptions } from "./node/measure-image-file.ts";
export { openImage, openImageIo, openImageSync, type OpenImageOptions } from "./node/open-image.ts";
export { openWithBase, openWithBaseSync, type ImageWithBase, type OpenWithBaseOptions } from "./node/open-with-base.ts";
export { PreparedThread } from "./node/prepared-thread.ts";
export type { HelpingThread } from "./node/start-thread.ts";
export { rebaseImageFile, rebaseImageFileSync, type RebaseImageFileOptions } from "./node/rebase-image-file.ts";
export { resizeImageFile, resizeImageFileSync, type ResizeImageFileOptions } from "./node/resize-image-file.ts";
export {
  repairImageFile,
  repairImageFileSync,
  type RepairedImageFile,
  type RepairImageFileOptions,
} from "./node/repair-image-file.ts";
export type { ThreadOptions } from "./node/thread-starter.ts";
export {
  streamImageFiles,
  streamImageFilesSync,
  type StreamedImageFiles,
  type StreamedImageFilesSync,
  type StreamImageFilesOptions,
} from "./node/stream-image-files.ts";
export type { CheckedImageSpec } from "./node/with-checked-file.ts";
