import { FormatRegistry, type StorageOpeners } from "@img/format-core";
import { defaultFormats } from "@img/operations/node";
import type { Plugins } from "./plugins.ts";

/** The formats for an operation: nothing without plug-ins, because operations do more with the formats that they know. */
export function pluginFormats({ formats }: Plugins): { readonly formats?: FormatRegistry } {
  return formats.length === 0 ? {} : { formats: new FormatRegistry([...defaultFormats().formats, ...formats]) };
}

/** The kinds of storages for an image, beside files. */
export function pluginStorages({ storages }: Plugins): { readonly storages?: StorageOpeners } {
  return Object.keys(storages).length === 0 ? {} : { storages };
}
