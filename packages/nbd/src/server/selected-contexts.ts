import type { NbdExport, NbdMetaContext } from "./nbd-export.ts";

/** Contexts that a client has selected: what each is called on the wire. */
export interface SelectedContexts {
  /** The export's name as the client said it; they hold for no other. */
  readonly exportName: string;
  readonly byId: ReadonlyMap<number, NbdMetaContext>;
}

/** The contexts of an export that a list's query means: one by its name, all that begin so if it ends with a colon, all for no query. */
export function listedContexts(exported: NbdExport, queries: readonly string[]): NbdMetaContext[] {
  return (exported.contexts ?? []).filter(
    ({ name }) =>
      queries.length === 0 ||
      queries.some((query) => name === query || (query.endsWith(":") && name.startsWith(query))),
  );
}

/** The contexts of an export that a selection means: those that are named. Each is there once, however often it was named. */
export function selectContexts(exported: NbdExport, exportName: string, queries: readonly string[]): SelectedContexts {
  const wanted = new Set(queries);
  const selected = (exported.contexts ?? []).filter(({ name }) => wanted.has(name));
  return { exportName, byId: new Map(selected.map((context, index) => [index + 1, context])) };
}
