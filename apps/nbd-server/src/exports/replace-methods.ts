import type { NbdExport } from "@img/nbd";

/** What an export does for its clients. */
export type ExportMethods = Pick<NbdExport, "read" | "write" | "writeZeroes" | "trim" | "cache" | "flush">;

/** An export with other methods in place of its own. What it can't do, it can't do afterwards either. */
export function replaceMethods(exported: NbdExport, methods: Partial<ExportMethods>): NbdExport {
  const names = Object.keys(methods) as (keyof ExportMethods)[];
  const replaced = names.filter((name) => exported[name] !== undefined).map((name) => [name, methods[name]]);
  return { ...exported, ...(Object.fromEntries(replaced) as Partial<ExportMethods>) };
}
