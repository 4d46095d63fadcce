import {
  ImgError,
  perform,
  runAsync,
  runSync,
  type AbortOptions,
  type AnyFormat,
  type FormatAccess,
  type FormatRegistry,
  type Io,
  type Storage,
} from "@img/format-core";
import { abortable } from "../abortable.ts";
import { sectorAlignedSize } from "../image-size.ts";
import type { ConvertTarget } from "./convert-target.ts";
import { defaultFormats } from "./default-formats.ts";
import type { GateSpec } from "./image-spec.ts";
import { newImageReferences } from "./new-image-references.ts";
import { openNewBacking } from "./open-new-backing.ts";
import { orReason, PacedStorage } from "./paced-storage.ts";
import { withImages } from "./with-images.ts";
import { writeNewFiles } from "./write-new-files.ts";

/** What {@link createImageFile} makes. */
export interface NewImageFile extends Omit<ConvertTarget, "gate"> {
  /** Bytes. Default: the size of the backing image. */
  readonly size?: number;
  /** The image below, as the new image is to name it: relative names are relative to the new image's directory. */
  readonly backingFile?: {
    readonly name: string;
    readonly format: string;
    /**
     * `false`: it isn't looked at, and may not even exist, unless preallocation needs it; the size has to be given then. Default `true`.
     */
    readonly open?: boolean;
  };
  /** What the backing image may open by itself. Default `"deny-all"`. */
  readonly gate?: GateSpec;
  /** The external data file, as the new image is to name it. */
  readonly dataFile?: string;
}

/** Options of {@link createImageFileSync}. */
export interface CreateImageFileSyncOptions extends AbortOptions {
  /** The formats that the image, and those below, may have. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
  /** Hears what the image's size is going to be, before anything is written. */
  readonly onSize?: (size: number) => void;
}

/** Options of {@link createImageFile}. */
export interface CreateImageFileOptions extends Omit<CreateImageFileSyncOptions, "onSize"> {
  /** Hears what the image's size is going to be, before anything is written. A promise that it gives is waited for. */
  readonly onSize?: (size: number) => void | Promise<void>;
}

/**
 * Makes an image in a file: what `qemu-img create` does. What was in the file stays as it is until all is well, and nothing half done stays when
 * it isn't; the same goes for the external data file.
 *
 * @returns the disk's size, bytes
 * @throws ImgError `ERR_IMG_DENIED` when the image would be its own backing image or data file; `ERR_IMG_UNSUPPORTED` when no size is known, or
 * a relative data file name means one file to us and another one to QEMU; and what opening the backing image and creating the image throw
 */
export function createImageFile(image: NewImageFile, options: CreateImageFileOptions = {}): Promise<number> {
  const tell = (size: number): Io<void> => perform({ label: "onSize", async: () => options.onSize?.(size) });
  return runAsync(createImageFileIo(image, options, tell));
}

/**
 * {@link createImageFile} without waiting.
 * @returns the disk's size, bytes
 * @throws ImgError as {@link createImageFile}
 */
export function createImageFileSync(image: NewImageFile, options: CreateImageFileSyncOptions = {}): number {
  function* tell(size: number): Io<void> {
    options.onSize?.(size);
  }
  return runSync(createImageFileIo(image, options, tell));
}

function* createImageFileIo(
  image: NewImageFile,
  options: Omit<CreateImageFileSyncOptions, "onSize">,
  tell: (size: number) => Io<void>,
): Io<number> {
  const formats = options.formats ?? defaultFormats();
  const format = formats.get(image.format);
  if (!format.canCreate) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${format.name} images can't be created`);
  }
  const backing = needsBacking(image) ? yield* abortable(openNewBacking(image, formats), options.signal) : undefined;
  return yield* withImages(backing === undefined ? [] : [backing], function* () {
    const size = sizeOf(image, backing);
    yield* tell(size);
    yield* makeFiles(image, { format, backing, size, signal: options.signal });
    return size;
  });
}

function* makeFiles(
  image: NewImageFile,
  parts: {
    readonly format: AnyFormat;
    readonly backing: FormatAccess | undefined;
    readonly size: number;
    readonly signal: AbortSignal | undefined;
  },
): Io<void> {
  const { format, backing, size, signal } = parts;
  const sources = backing?.storages() ?? [];
  yield* writeNewFiles(image, { sources, sync: true, signal }, function* ({ target, data }) {
    const dataFile = data && new PacedStorage(data.storage, signal);
    const storage = new PacedStorage(target.storage, signal);
    const options = { ...image.createOptions, ...newImageReferences(image, backing, dataFile), size };
    yield* orReason(createClosed(format, storage, options), signal);
  });
}

function* createClosed(format: AnyFormat, storage: Storage, options: Readonly<Record<string, unknown>>): Io<void> {
  if (format.createClosedIo === undefined || !(yield* format.createClosedIo(storage, options))) {
    const made = yield* format.createIo(storage, options);
    yield* made.io.close();
  }
}

function needsBacking({ backingFile, createOptions }: NewImageFile): boolean {
  const { preallocation = "none" } = createOptions ?? {};
  return backingFile?.open !== false || preallocation !== "none";
}

function sizeOf(image: NewImageFile, backing: FormatAccess | undefined): number {
  const size = image.size ?? (backing === undefined ? undefined : sectorAlignedSize(backing));
  if (size === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${image.path}: the size of the new image isn't given`, {
      feature: "size",
    });
  }
  return size;
}
