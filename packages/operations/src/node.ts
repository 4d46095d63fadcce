export {
  checkImageFile,
  checkImageFileSync,
  type CheckedImageFile,
  type CheckedImageSpec,
  type CheckImageFileOptions,
} from "./node/check-image-file.ts";
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
export { openImage, openImageIo, openImageSync, type OpenImageOptions } from "./node/open-image.ts";
