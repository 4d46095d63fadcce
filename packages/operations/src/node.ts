export {
  checkImageFile,
  type CheckedImageFile,
  type CheckedImageSpec,
  type CheckImageFileOptions,
} from "./node/check-image-file.ts";
export { convertImages, type ConvertImagesOptions, type ConvertImagesResult } from "./node/convert-images.ts";
export type { ConvertTarget } from "./node/convert-target.ts";
export { createImageFile, type CreateImageFileOptions, type NewImageFile } from "./node/create-image-file.ts";
export { ddImageFile, type DdImageFileOptions, type DdImageFileResult } from "./node/dd-image-file.ts";
export { defaultFormats } from "./node/default-formats.ts";
export type { GateSpec, ImageSpec } from "./node/image-spec.ts";
export { openImage, openImageIo, openImageSync, type OpenImageOptions } from "./node/open-image.ts";
