import type { AnyFormat, StorageOpeners } from "@img/format-core";

/** What all modules that were named by `--plugin` bring. */
export interface Plugins {
  readonly formats: readonly AnyFormat[];
  readonly storages: StorageOpeners;
}

/** Nothing but what the program has itself. */
export const noPlugins: Plugins = { formats: [], storages: {} };
