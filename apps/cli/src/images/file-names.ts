import { backingLocation } from "@img/operations";
import type { FormatAccess, Storage } from "@img/format-core";

/**
 * What qemu-img calls the files of an image and of those below: what the user called the first, and what the images call the others, seen
 * from where the user stands.
 */
export function fileNames(image: FormatAccess, filename: string): ReadonlyMap<Storage, string> {
  const names = new Map<Storage, string>();
  let name = filename;
  let layer: FormatAccess | null | undefined = image;
  while (layer !== null && layer !== undefined) {
    const { driver }: FormatAccess = layer;
    const description = driver.describe?.();
    const [own, dataFile] = driver.storages;
    setOnce(names, own, name);
    setOnce(names, dataFile, description?.dataFile?.name ?? dataFile?.location ?? "");
    const backing = description?.backing?.name;
    const below: Storage | undefined = driver.backing?.driver.storages[0];
    name = (backing === undefined ? undefined : backingLocation(name, backing)) ?? below?.location ?? "";
    layer = driver.backing;
  }
  return names;
}

function setOnce(names: Map<Storage, string>, storage: Storage | undefined, name: string): void {
  if (storage !== undefined && !names.has(storage)) {
    names.set(storage, name);
  }
}
