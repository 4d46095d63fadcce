import { dirname, resolve } from "node:path";
import {
  closeAfterFailure,
  ImgError,
  runAsync,
  type AbortOptions,
  type FormatAccess,
  type FormatRegistry,
} from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import { hasProtocol } from "../info/backing-location.ts";
import type { ConvertTarget } from "./convert-target.ts";
import { defaultFormats } from "./default-formats.ts";
import type { GateSpec } from "./image-spec.ts";
import { openImage } from "./open-image.ts";
import { PacedStorage } from "./paced-storage.ts";
import { TargetFile } from "./target-file.ts";

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

/** Options of {@link createImageFile}. */
export interface CreateImageFileOptions extends AbortOptions {
  /** The formats that the image, and those below, may have. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
  /** Hears what the image's size is going to be, before anything is written. */
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
export async function createImageFile(image: NewImageFile, options: CreateImageFileOptions = {}): Promise<number> {
  const formats = options.formats ?? defaultFormats();
  const format = formats.get(image.format);
  if (!format.canCreate) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${format.name} images can't be created`);
  }
  const dataPath = dataFilePath(image);
  const backing = await openBacking(image, formats);
  try {
    const size = sizeOf(image, backing);
    await options.onSize?.(size);
    const create = (target: TargetFile, data: TargetFile | undefined): Promise<FormatAccess> =>
      format.create(new PacedStorage(target.storage, options.signal), {
        ...image.createOptions,
        size,
        ...(image.backingFile === undefined
          ? {}
          : {
              backingFile: { name: image.backingFile.name, format: image.backingFile.format },
              backing: backing ?? null,
            }),
        ...(data === undefined
          ? {}
          : { dataFileName: image.dataFile, dataFile: new PacedStorage(data.storage, options.signal) }),
      });
    await createFiles(image, dataPath, backing, create);
    return size;
  } finally {
    await backing?.close();
  }
}

async function openBacking(image: NewImageFile, formats: FormatRegistry): Promise<FormatAccess | undefined> {
  const { backingFile } = image;
  const { preallocation = "none" } = image.createOptions ?? {};
  if (backingFile === undefined || (backingFile.open === false && preallocation === "none")) {
    return undefined;
  }
  if (hasProtocol(backingFile.name.replace(/^file:/, ""))) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `backing file ${JSON.stringify(backingFile.name)}: expected a file`, {
      feature: "backing file",
    });
  }
  const path = resolve(dirname(image.path), backingFile.name.replace(/^file:/, ""));
  if (path === resolve(image.path)) {
    throw new ImgError("ERR_IMG_DENIED", `${image.path}: an image can't be its own backing image`, {
      feature: "backing file",
    });
  }
  return openImage(
    { path, format: backingFile.format, ...(image.gate === undefined ? {} : { gate: image.gate }) },
    { formats },
  );
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

/** QEMU looks for a relative name where it runs, we look beside the image: a name that isn't the same to both is refused. */
function dataFilePath({ path, dataFile }: NewImageFile): string | undefined {
  if (dataFile === undefined) {
    return undefined;
  }
  const found = resolve(dirname(path), dataFile);
  if (found !== resolve(dataFile)) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `data file ${JSON.stringify(dataFile)}: beside the image that is ${found}, but to QEMU it is ${resolve(dataFile)}: expected an absolute name`,
      { feature: "external data file" },
    );
  }
  if (found === resolve(path)) {
    throw new ImgError("ERR_IMG_DENIED", `${path}: an image can't be its own data file`);
  }
  return found;
}

async function createFiles(
  image: NewImageFile,
  dataPath: string | undefined,
  backing: FormatAccess | undefined,
  create: (target: TargetFile, data: TargetFile | undefined) => Promise<FormatAccess>,
): Promise<void> {
  const below = backing?.storages() ?? [];
  const target = await TargetFile.prepare(image, below);
  let data: TargetFile | undefined;
  try {
    data = dataPath === undefined ? undefined : await TargetFile.prepare({ ...image, path: dataPath }, below);
    const made = await create(target, data);
    await made.close();
    await data?.publish({ sync: true });
    await target.publish({ sync: true });
  } catch (error) {
    for (const each of [target, data]) {
      if (each !== undefined) {
        await runAsync(closeAfterFailure(each.storage));
        await each.discard();
      }
    }
    throw error;
  }
}
