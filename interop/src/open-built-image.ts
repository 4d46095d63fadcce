import {
  allowAll,
  FormatRegistry,
  type FormatAccess,
  type Io,
  type Storage,
  type StorageOpener,
} from "@img/format-core";
import { qcow2, type Qcow2Image, type Qcow2OpenOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { FileStorage, fileOpener } from "@img/storage-fs";
import { DelayStorage } from "@img/testing";
import type { BuiltImage } from "./build-image.ts";

/** The formats of the matrix. */
export const formats: FormatRegistry = new FormatRegistry([qcow2, raw]);

/** How the files of an image are read: by which blocking policy, or through storages that answer late and out of order. */
export const accesses = ["always", "cached", "never", "delayed"] as const;

/** One of {@link accesses}. */
type Access = (typeof accesses)[number];

/** Options of {@link openBuiltImage}. */
export interface OpenBuiltOptions extends Pick<Qcow2OpenOptions, "snapshot" | "l2CacheSize" | "clusterCacheSize"> {
  /** Default `"always"`. */
  readonly access?: Access;
  /** Open nothing but the image's own file, to be described only. Default `false`. */
  readonly alone?: boolean;
}

/** Opens an image of the matrix read-only, the way its specification says that the image below is known. */
export async function openBuiltImage(
  image: BuiltImage,
  options: OpenBuiltOptions = {},
): Promise<FormatAccess<Qcow2Image>> {
  const { access = "always", alone = false, ...rest } = options;
  const gate = allowAll({ opener: openerFor(access), formats });
  const storage = await openFile(image.path, access);
  if (alone) {
    return qcow2.open(storage, { ...rest, inspect: true });
  }
  if (image.backing?.known !== "given") {
    return qcow2.open(storage, { ...rest, gate });
  }
  const below = await openFile(image.backing.path, access);
  const backing = await formats.open(below, { gate, format: image.backing.format });
  return qcow2.open(storage, { ...rest, gate, backing });
}

/** Closes an image of the matrix, and the image below where the caller had to open it. */
export async function closeBuiltImage(image: BuiltImage, access: FormatAccess): Promise<void> {
  const below = access.driver.backing;
  await access.close();
  if (image.backing?.known === "given") {
    await below?.close();
  }
}

/** Opens one file for reading. */
async function openFile(path: string, access: Access): Promise<Storage> {
  const file = await FileStorage.open(path, { blocking: access === "delayed" ? "always" : access });
  return access === "delayed" ? new DelayStorage(file) : file;
}

function openerFor(access: Access): StorageOpener {
  if (access !== "delayed") {
    return fileOpener({ blocking: access });
  }
  const files = fileOpener({ blocking: "always" });
  return {
    canonical: (location) => files.canonical(location),
    *open(location, options): Io<Storage> {
      return new DelayStorage(yield* files.open(location, options));
    },
  };
}
