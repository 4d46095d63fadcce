import { openerForLocation, type StorageOpener, type StorageOpeners } from "@img/format-core";

/** The opener of a location that isn't a file's. `undefined`: it is a file or device. */
export function openerOf(place: {
  readonly path: string;
  readonly storages?: StorageOpeners | undefined;
}): StorageOpener | undefined {
  return openerForLocation(place.path, place.storages ?? {});
}
