import {
  ImgError,
  isImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatRegistry,
  type Io,
  type Storage,
} from "@img/format-core";
import { abortable } from "../abortable.ts";
import { checkCopiedBitmaps, checkSourceBitmaps, copyBitmapsIo, type CopiedBitmaps } from "../bitmap/copy-bitmaps.ts";
import {
  convertSettings,
  type ConvertOptions,
  type ConvertResult,
  type ConvertSettings,
} from "../convert/convert-options.ts";
import { sectorAlignedSize } from "../image-size.ts";
import type { ConvertTarget } from "./convert-target.ts";
import type { SharedFile } from "./copy-threads.ts";
import { defaultFormats } from "./default-formats.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { NewFile } from "./new-file.ts";
import { newImageReferences } from "./new-image-references.ts";
import { openImageIo } from "./open-image.ts";
import { openerOf } from "./opener-of.ts";
import { openNewBacking } from "./open-new-backing.ts";
import { runConversion, type Conversion } from "./run-conversion.ts";
import { orReason, PacedStorage } from "./paced-storage.ts";
import { refuseSources } from "./refuse-sources.ts";
import { UnsyncedStorage } from "./unsynced-storage.ts";
import type { ThreadOptions } from "./thread-starter.ts";
import { withImages } from "./with-images.ts";
import { writeNewFiles, type NewFiles } from "./write-new-files.ts";

/** What {@link convertImagesSync} is to do. */
export interface ConvertImagesSyncOptions
  extends
    AbortOptions,
    Pick<ConvertOptions, "sparse" | "compressed" | "offload" | "chunkSize" | "rate" | "onUnreadable" | "onProgress"> {
  /** The images, behind each other if there are several. At least one. */
  readonly sources: readonly ImageSpec[];
  readonly target: ConvertTarget;
  /** Write into an image that exists, and keep what is behind the sources' end. Default `false`: a new image is made. */
  readonly skipCreate?: boolean;
  /** With {@link skipCreate}: the target is known to read as zero. Default `false`. */
  readonly targetIsZero?: boolean;
  /** With {@link skipCreate}: leave alone what the target shows already. Default `false`. A new image with another one below it always does. */
  readonly onlyDifferences?: boolean;
  /** Copy persistent bitmaps as well, see `copyBitmaps`; there is one source then. Default: they are left out. */
  readonly bitmaps?: CopiedBitmaps;
  /** Make the target durable before saying that all is well. Default `true`. */
  readonly sync?: boolean;
  /** The formats of sources and target. With formats of your own, one thread reads and writes. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** What {@link convertImages} is to do. */
export interface ConvertImagesOptions extends ConvertImagesSyncOptions, ThreadOptions {
  /**
   * Threads that may work on it, this one included; 1: this one does it all. Default: one for each processor, up to 4. They copy parts of a raw target by
   * themselves; for other targets they read compressed sources, beside this one, which writes. Short jobs need none.
   */
  readonly threads?: number;
}

/** What {@link convertImages} did. */
export interface ConvertImagesResult extends ConvertResult {
  /** Threads that worked on it, this one included. */
  readonly threads: number;
}

/**
 * Converts disk images in files: what `qemu-img convert` does.
 *
 * What was in the target stays as it is until the conversion has succeeded, and nothing half done stays when it fails or is aborted; see
 * `TargetFile` for the exceptions. Existing images (`skipCreate`), block devices, and what is no file are written in place.
 *
 * @throws ImgError `ERR_IMG_DENIED` when the target is one of the sources or what one of them is stored in; `ERR_IMG_NO_SPACE` when an
 * existing target is too small; `ERR_IMG_BUSY` when a source's file was cut meanwhile; and what opening, creating, reading and writing throw; the signal's
 * reason
 */
export function convertImages(options: ConvertImagesOptions): Promise<ConvertImagesResult> {
  return runAsync(convertImagesIo(options));
}

/**
 * {@link convertImages} without waiting. This thread does it all.
 * @throws ImgError as {@link convertImages}
 */
export function convertImagesSync(options: ConvertImagesSyncOptions): ConvertImagesResult {
  return runSync(convertImagesIo(options, 1));
}

/** @param parallel - parts in flight at once; default: that of {@link convertSettings} */
function* convertImagesIo(options: ConvertImagesOptions, parallel?: number): Io<ConvertImagesResult> {
  if (options.sources.length === 0) {
    throw new RangeError("sources: expected at least one");
  }
  if (options.bitmaps !== undefined && options.sources.length > 1) {
    throw new RangeError(`sources: expected one, whose bitmaps are copied: found ${String(options.sources.length)}`);
  }
  const settings = convertSettings({
    ...options,
    ...(parallel === undefined ? {} : { parallel }),
    noSnapshotsBelow: ![...options.sources, options.target].some(hasSnapshotBelow),
  });
  const formats = options.formats ?? defaultFormats(...options.sources, options.target);
  const sources: FormatAccess[] = [];
  return yield* withImages(sources, function* () {
    for (const spec of options.sources) {
      sources.push(yield* openImageIo({ blocking: "small", ...spec, writable: false }, { ...options, formats }));
    }
    const [first] = sources;
    if (options.bitmaps !== undefined && first !== undefined) {
      checkSourceBitmaps(first, options.bitmaps);
    }
    const conversion: Conversion = { options, settings, formats, sources };
    return options.skipCreate === true ? yield* convertInto(conversion) : yield* convertNew(conversion);
  });
}

/** What images open by themselves, they show as it is. */
function hasSnapshotBelow({ backing }: ImageSpec): boolean {
  return backing !== undefined && backing !== null && (backing.snapshot !== undefined || hasSnapshotBelow(backing));
}

/** Makes a new image. The sources stay open. */
export function* convertNew(conversion: Conversion): Io<ConvertImagesResult> {
  const { options, sources, formats } = conversion;
  const { target } = options;
  const format = formats.get(target.format);
  if (!format.canCreate) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${format.name} images can't be created`);
  }
  const backing = yield* abortable(openNewBacking(target, formats), options.signal);
  const below = backing === undefined ? [] : [backing];
  const newFiles = {
    sources: allStorages([...sources, ...below]),
    sync: options.sync !== false,
    signal: options.signal,
  };
  return yield* withImages(below, () =>
    writeNewFiles(target, newFiles, (files) => fillNew(conversion, files, backing)),
  );
}

/** Creates an image in empty files, fills it and closes it. */
function* fillNew(
  conversion: Conversion,
  { target: file, data }: NewFiles,
  backing: FormatAccess | undefined,
): Io<ConvertImagesResult> {
  const { options, sources, formats, settings } = conversion;
  const { target } = options;
  const format = formats.get(target.format);
  const { preallocation = "none" } = target.createOptions ?? {};
  const storageOf = ({ storage }: NewFile): Storage => {
    const durable = options.sync === false ? new UnsyncedStorage(storage) : storage;
    // whatever is written beforehand can take longer than all the copying, and is one call
    return preallocation === "none" ? durable : new PacedStorage(durable, options.signal);
  };
  // a raw disk on a block device is there already, and clearing all of the device would be in vain
  const isThere = format.name === "raw" && !file.isFresh;
  const size = totalSize(sources);
  const references = newImageReferences(target, backing, data && storageOf(data));
  const image = isThere
    ? yield* format.openIo(storageOf(file), { writable: true })
    : yield* orReason(
        format.createIo(storageOf(file), { ...target.createOptions, ...references, size }),
        options.signal,
      );
  const isShown = backing !== undefined;
  const targetIsZero = !isThere && !isShown && data?.isFresh !== false;
  const copying = { ...settings, targetIsZero, onlyDifferences: isShown };
  const shared = format.name === "raw" ? file.shared : undefined;
  return yield* withImages([image], () => fill(conversion, image, copying, shared));
}

/** Writes into an image that exists. */
function* convertInto(conversion: Conversion): Io<ConvertImagesResult> {
  const { options, sources, formats, settings } = conversion;
  const { createOptions: _, ...target } = options.target;
  if (openerOf(target) === undefined) {
    yield* abortable(refuseSources(target.path, allStorages(sources), target), options.signal);
  }
  const durable = options.sync !== false;
  const spec = { blocking: "small", ...target, writable: true, durable } as const;
  const image = yield* openImageIo(spec, { ...options, formats });
  const size = totalSize(sources);
  return yield* withImages([image], function* () {
    yield* fillUpLastSector(image, size);
    return yield* fill(conversion, image, settings);
  });
}

/** A raw disk counts in whole sectors, although its last one may be stored only in part: where what is written needs the rest, it is stored, too. */
function* fillUpLastSector(image: FormatAccess, size: number): Io<void> {
  if (image.size < size && size <= sectorAlignedSize(image)) {
    try {
      yield* image.io.resizeGrow(size, "none");
    } catch (error) {
      // that there is no room is said by who writes
      if (!isImgError(error, "ERR_IMG_UNSUPPORTED")) throw error;
    }
  }
}

function totalSize(sources: readonly FormatAccess[]): number {
  return sources.reduce((sum, source) => sum + sectorAlignedSize(source), 0);
}

/** Copies what is to be copied into an open image. */
function* fill(
  conversion: Conversion,
  image: FormatAccess,
  settings: ConvertSettings,
  file?: SharedFile,
): Io<ConvertImagesResult> {
  const { options, sources } = conversion;
  const [source] = sources;
  if (options.bitmaps === undefined || source === undefined) {
    return yield* runConversion(conversion, image, settings, file);
  }
  checkCopiedBitmaps(source, image, options.bitmaps);
  const result = yield* runConversion(conversion, image, settings);
  yield* copyBitmapsIo(source, image, options.bitmaps);
  return result;
}

function allStorages(images: readonly FormatAccess[]): Storage[] {
  return images.flatMap((image) => image.storages());
}
