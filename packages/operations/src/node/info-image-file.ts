import { runAsync, runSync, type Io } from "@img/format-core";
import { infoIo, type ImageInfo, type InfoOptions } from "../info/image-info.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { withImageFile } from "./with-image-file.ts";

/** What describing an image needs to know about it: only headers are read. */
export type InspectedImageSpec = Omit<
  ImageSpec,
  "writable" | "writeProbed" | "inspect" | "durable" | "snapshot" | "backing" | "dataFile"
>;

/** Options of {@link infoImageFile}. What the image is called: its path, unless told otherwise. */
export interface InfoImageFileOptions extends OpenImageOptions, Omit<InfoOptions, "signal"> {}

/**
 * What an image's headers say, and how much room it takes: what `qemu-img info` does. Opens the one file, and nothing that the image names.
 * @throws ImgError as `openImage`
 */
export function infoImageFile(spec: InspectedImageSpec, options: InfoImageFileOptions = {}): Promise<ImageInfo> {
  return runAsync(infoImageFileIo(spec, options));
}

/**
 * {@link infoImageFile} without waiting.
 * @throws ImgError as {@link infoImageFile}
 */
export function infoImageFileSync(spec: InspectedImageSpec, options: InfoImageFileOptions = {}): ImageInfo {
  return runSync(infoImageFileIo(spec, options));
}

function infoImageFileIo(spec: InspectedImageSpec, options: InfoImageFileOptions): Io<ImageInfo> {
  return withImageFile({ ...spec, inspect: true }, options, (image) => infoIo(image, options.filename ?? spec.path));
}
