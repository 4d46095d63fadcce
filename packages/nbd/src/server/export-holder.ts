import type { NbdPeer } from "./nbd-peer.ts";
import type { NamedExport, NbdExportSource } from "./export-source.ts";

/** The export that a connection has asked for last, opened. Options that name it again get the same one. */
export class ExportHolder {
  readonly #source: NbdExportSource;
  readonly #client: NbdPeer;
  #name: string | undefined;
  #held: NamedExport | undefined;

  constructor(source: NbdExportSource, client: NbdPeer) {
    this.#source = source;
    this.#client = client;
  }

  /** Opens the export of this name, and lets go of another one; `undefined`: there is none. */
  async open(name: string): Promise<NamedExport | undefined> {
    if (this.#held !== undefined && this.#name === name) {
      return this.#held;
    }
    await this.release();
    this.#held = await this.#source.open(name, this.#client);
    this.#name = name;
    return this.#held;
  }

  /** Lets go of what is held. */
  async release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.export.release?.();
  }
}
