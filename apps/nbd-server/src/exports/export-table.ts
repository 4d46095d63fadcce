import type { NamedExport, NbdExport, NbdExportSource, NbdPeer } from "@img/nbd";
import type { FolderExports } from "./folder-exports.ts";

/** An export with a name that is known from the start. */
export interface TableEntry {
  readonly name: string;
  readonly description: string;
  readonly tlsRequired: boolean;
  /**
   * The export for one more client, which releases it.
   * @param gone - aborted when nobody waits for the client's answers any more
   */
  acquire(gone: AbortSignal): Promise<NbdExport>;
}

/** All that a server offers: exports with fixed names, and those in folders. */
export class ExportTable implements NbdExportSource {
  readonly #entries: ReadonlyMap<string, TableEntry>;
  readonly #folders: readonly FolderExports[];

  constructor(entries: readonly TableEntry[], folders: readonly FolderExports[]) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.#folders = folders;
  }

  async list({ secure }: Pick<NbdPeer, "secure">): Promise<{ readonly name: string; readonly description: string }[]> {
    const listed = [...this.#entries.values()].filter(({ tlsRequired }) => secure || !tlsRequired);
    const names = new Set(listed.map(({ name }) => name));
    const found = listed.map(({ name, description }) => ({ name, description }));
    for (const folder of this.#folders) {
      for (const name of await folder.names()) {
        if (!names.has(name) && !this.#entries.has(name)) {
          names.add(name);
          found.push({ name, description: folder.plan.description ?? "" });
        }
      }
    }
    return found;
  }

  async open(name: string, _client: NbdPeer, gone: AbortSignal): Promise<NamedExport | undefined> {
    const entry = this.#entries.get(name) ?? (name === "" ? this.#only() : undefined);
    if (entry !== undefined) {
      return { name: entry.name, export: await entry.acquire(gone) };
    }
    for (const folder of this.#folders) {
      const found = await folder.find(name);
      if (found !== undefined) {
        return { name, export: await found.acquire(gone) };
      }
    }
    return undefined;
  }

  /** What a client gets that asks for no name: the only export, if there is only one. */
  #only(): TableEntry | undefined {
    const [only, another] = this.#entries.values();
    return another === undefined && this.#folders.length === 0 ? only : undefined;
  }
}
