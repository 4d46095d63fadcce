import type { MaybePromise } from "@img/format-core";
import type { ExportEntry } from "../protocol/export-entry.ts";
import { checkBlockSize } from "./check-block-size.ts";
import type { NbdPeer } from "./nbd-peer.ts";
import type { NbdExport } from "./nbd-export.ts";

/** An export, and the name that it goes by whatever name it was asked for. */
export interface NamedExport {
  readonly name: string;
  readonly export: NbdExport;
}

/** Where a server has its exports from, if they aren't a plain map. */
export interface NbdExportSource {
  /** What a client gets to see. Absent: lists are refused. */
  list?(client: NbdPeer): MaybePromise<readonly ExportEntry[]>;
  /**
   * The export of this name; `undefined`: there is none. Empty: the default one. Called for everything that needs to know an export, at most once at a
   * time for a connection, which calls `release` of the export when it has done with it.
   * @param gone - aborted when nobody waits for answers any more: the connection has failed or is dropped, or the client has ended its side without
   *   saying goodbye. What isn't begun then should fail with the signal's reason if it would take long: a connection ends after its requests.
   */
  open(name: string, client: NbdPeer, gone: AbortSignal): MaybePromise<NamedExport | undefined>;
}

/** What a server is given: names and exports, or something that finds them. */
export type NbdExports = ReadonlyMap<string, NbdExport> | NbdExportSource;

/**
 * A map as a source: lists it all, but for exports with `tlsRequired` to clients without TLS. The default export is the one with the empty name, or
 * else the only one.
 * @throws RangeError for block sizes that can't be
 */
export function exportSource(exports: NbdExports): NbdExportSource {
  return isMap(exports) ? new MapSource(exports) : exports;
}

function isMap(exports: NbdExports): exports is ReadonlyMap<string, NbdExport> {
  return Symbol.iterator in exports;
}

class MapSource implements NbdExportSource {
  readonly #exports: ReadonlyMap<string, NbdExport>;

  constructor(exports: ReadonlyMap<string, NbdExport>) {
    for (const { blockSize } of exports.values()) {
      checkBlockSize(blockSize);
    }
    this.#exports = exports;
  }

  list(client: NbdPeer): ExportEntry[] {
    return [...this.#exports]
      .filter(([, { tlsRequired }]) => client.secure || tlsRequired !== true)
      .map(([name, { description }]) => ({ name, description: description ?? "" }));
  }

  open(name: string): NamedExport | undefined {
    const found = this.#exports.get(name);
    if (found !== undefined) {
      return { name, export: found };
    }
    const [only, another] = this.#exports;
    return name === "" && only !== undefined && another === undefined ? { name: only[0], export: only[1] } : undefined;
  }
}
