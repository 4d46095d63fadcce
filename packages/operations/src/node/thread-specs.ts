import { openerForLocation, type FormatAccess, type StorageOpeners } from "@img/format-core";
import type { ImageSpec } from "./image-spec.ts";

/** Whether an image, and all below, lie in files that another thread can open as well. */
export function isInFiles(image: FormatAccess, spec: ImageSpec | undefined): boolean {
  const openers = openersOf(spec);
  const isForeign = (location: string | undefined): boolean =>
    openers.some((each) => location === undefined || openerForLocation(location, each) !== undefined);
  return !image.storages().some(({ location }) => isForeign(location));
}

/** Everything beside files that an image, or one that is given to be below, may lie in. */
function openersOf(spec: ImageSpec | null | undefined): StorageOpeners[] {
  if (spec === null || spec === undefined) {
    return [];
  }
  return [...(spec.storages === undefined ? [] : [spec.storages]), ...openersOf(spec.backing)];
}

/** What another thread can be told of an image: openers are functions, which stay where they are. */
export function withoutOpeners({ storages: _, backing, ...spec }: ImageSpec): ImageSpec {
  return {
    ...spec,
    ...(backing === undefined ? {} : { backing: backing === null ? null : withoutOpeners(backing) }),
  };
}
