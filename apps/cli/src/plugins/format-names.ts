import type { Plugins } from "./plugins.ts";

/** What the program's own formats are called. */
export const ownFormats: readonly string[] = ["raw", "qcow2"];

/** What images can be said to be of: our formats, and those of plug-ins with their aliases. */
export function formatNames(plugins: Plugins): readonly string[] {
  return [...ownFormats, ...plugins.formats.flatMap(({ name, aliases }) => [name, ...aliases])];
}
