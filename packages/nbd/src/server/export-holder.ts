import type { NbdPeer } from "./nbd-peer.ts";
import type { NamedExport, NbdExportSource } from "./export-source.ts";

/** The export that a connection has asked for last, opened. Options that name it again get the same one. */
export class ExportHolder {
  readonly #source: NbdExportSource;
  readonly #client: NbdPeer;
  readonly #gone: AbortSignal;
  #name: string | undefined;
  #held: NamedExport | undefined;

  /** @param gone - for {@link NbdExportSource.open} */
  constructor(source: NbdExportSource, client: NbdPeer, gone: AbortSignal) {
    this.#source = source;
    this.#client = client;
    this.#gone = gone;
  }

  /** Opens the export of this name, and lets go of another one; `undefined`: there is none. */
  async open(name: string): Promise<NamedExport | undefined> {
    if (this.#held !== undefined && this.#name === name) {
      return this.#held;
    }
    await this.release();
    this.#held = await this.#source.open(name, this.#client, this.#gone);
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
