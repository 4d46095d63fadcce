import { ImgError, type AbortOptions, type FormatAccess, type FormatRegistry, type Storage } from "@img/format-core";
import { convertSettings, type ConvertOptions, type ConvertResult } from "../convert/convert-options.ts";
import { sectorAlignedSize } from "../image-size.ts";
import type { ConvertTarget } from "./convert-target.ts";
import { defaultFormats } from "./default-formats.ts";
import type { ImageSpec } from "./image-spec.ts";
import { newImageReferences } from "./new-image-references.ts";
import { openImage } from "./open-image.ts";
import { openerOf } from "./opener-of.ts";
import { openNewBacking } from "./open-new-backing.ts";
import { runConversion, type Conversion } from "./run-conversion.ts";
import { refuseSources } from "./refuse-sources.ts";
import type { TargetFile } from "./target-file.ts";
import { UnsyncedStorage } from "./unsynced-storage.ts";
import { writeNewFiles, type NewFiles } from "./write-new-files.ts";

/** What {@link convertImages} is to do. */
export interface ConvertImagesOptions
  extends
    AbortOptions,
    Pick<ConvertOptions, "sparse" | "compressed" | "chunkSize" | "rate" | "onUnreadable" | "onProgress"> {
  /** The images, behind each other if there are several. At least one. */
  readonly sources: readonly ImageSpec[];
  readonly target: ConvertTarget;
  /** Write into an image that exists, and keep what is behind the sources' end. Default `false`: a new image is made. */
  readonly skipCreate?: boolean;
  /** With {@link skipCreate}: the target is known to read as zero. Default `false`. */
  readonly targetIsZero?: boolean;
  /** With {@link skipCreate}: leave alone what the target shows already. Default `false`. A new image with another one below it always does. */
  readonly onlyDifferences?: boolean;
  /** Make the target durable before saying that all is well. Default `true`. */
  readonly sync?: boolean;
  /** Threads that may work on it, this one included. Default: one for each processor. Short jobs use one. */
  readonly threads?: number;
  /** The formats of sources and target. With formats of your own, one thread does it all. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
  /**
   * Where the module `node-worker.js` of this package is, for programs that are bundled. Default: beside the module that is running; where it
   * isn't, one thread does it all.
   */
  readonly workerEntry?: URL;
}

/** What {@link convertImages} did. */
export interface ConvertImagesResult extends ConvertResult {
  /** Threads that worked on it. */
  readonly threads: number;
}

/**
 * Converts disk images in files: what `qemu-img convert` does.
 *
 * What was in the target stays as it is until the conversion has succeeded, and nothing half done stays when it fails or is aborted; see
 * {@link TargetFile} for the exceptions. Existing images (`skipCreate`) and block devices are written in place.
 *
 * @throws ImgError `ERR_IMG_DENIED` when the target is one of the sources or what one of them is stored in; `ERR_IMG_NO_SPACE` when an
 * existing target is too small; and what opening, creating, reading and writing throw; the signal's reason
 */
export async function convertImages(options: ConvertImagesOptions): Promise<ConvertImagesResult> {
  if (options.sources.length === 0) {
    throw new RangeError("sources: expected at least one");
  }
  const settings = convertSettings({
    ...options,
    parallel: [...options.sources, options.target].some(isWaiting) ? 8 : 1,
    noSnapshotsBelow: ![...options.sources, options.target].some(hasSnapshotBelow),
  });
  const formats = options.formats ?? defaultFormats();
  const sources: FormatAccess[] = [];
  try {
    for (const spec of options.sources) {
      sources.push(await openImage({ ...spec, writable: false }, { formats }));
    }
    const conversion: Conversion = { options, settings, formats, sources };
    return options.skipCreate === true ? await convertInto(conversion) : await convertNew(conversion);
  } finally {
    for (const source of sources) {
      await source.close();
    }
  }
}

/** What images open by themselves, they show as it is. */
function hasSnapshotBelow({ backing }: ImageSpec): boolean {
  return backing !== undefined && backing !== null && (backing.snapshot !== undefined || hasSnapshotBelow(backing));
}

/** Whether requests are worth having in flight together. */
function isWaiting(spec: Pick<ImageSpec, "path" | "blocking" | "storages">): boolean {
  return (spec.blocking !== undefined && spec.blocking !== "always") || openerOf(spec) !== undefined;
}

/** Makes a new image. The sources stay open. */
export async function convertNew(conversion: Conversion): Promise<ConvertImagesResult> {
  const { options, sources, formats } = conversion;
  const { target } = options;
  const format = formats.get(target.format);
  if (!format.canCreate) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${format.name} images can't be created`);
  }
  const backing = await openNewBacking(target, formats);
  try {
    const read = [...allStorages(sources), ...(backing?.storages() ?? [])];
    return await writeNewFiles(target, { sources: read, sync: options.sync !== false }, (files) =>
      fillNew(conversion, files, backing),
    );
  } finally {
    await backing?.close();
  }
}

/** Creates an image in empty files, fills it and closes it. */
async function fillNew(
  conversion: Conversion,
  { target: file, data }: NewFiles,
  backing: FormatAccess | undefined,
): Promise<ConvertImagesResult> {
  const { options, sources, formats, settings } = conversion;
  const { target } = options;
  const format = formats.get(target.format);
  const storageOf = ({ storage }: TargetFile): Storage =>
    options.sync === false ? new UnsyncedStorage(storage) : storage;
  // a raw disk on a block device is there already, and clearing all of the device would be in vain
  const isThere = format.name === "raw" && !file.isFresh;
  const size = sources.reduce((sum, source) => sum + sectorAlignedSize(source), 0);
  const references = newImageReferences(target, backing, data && storageOf(data));
  const image = isThere
    ? await format.open(storageOf(file), { writable: true })
    : await format.create(storageOf(file), { ...target.createOptions, ...references, size });
  try {
    const isShown = backing !== undefined;
    const targetIsZero = !isThere && !isShown && data?.isFresh !== false;
    const result = await runConversion(conversion, image, {
      path: file.path,
      settings: { ...settings, targetIsZero, onlyDifferences: isShown },
    });
    await image.close();
    return result;
  } catch (error) {
    await closeQuietly(image);
    throw error;
  }
}

/** Writes into an image that exists. */
async function convertInto(conversion: Conversion): Promise<ConvertImagesResult> {
  const { options, sources, formats, settings } = conversion;
  const { createOptions: _, ...target } = options.target;
  if (openerOf(target) === undefined) {
    await refuseSources(target.path, allStorages(sources));
  }
  const durable = options.sync !== false;
  const image = await openImage({ ...target, writable: true, durable }, { formats });
  try {
    const result = await runConversion(conversion, image, { path: target.path, settings });
    await image.close();
    return result;
  } catch (error) {
    await closeQuietly(image);
    throw error;
  }
}

function allStorages(images: readonly FormatAccess[]): Storage[] {
  return images.flatMap((image) => image.storages());
}

/** Closes an image because something failed that is being reported. */
async function closeQuietly(image: FormatAccess): Promise<void> {
  try {
    await image.close();
  } catch {
    // see above
  }
}
