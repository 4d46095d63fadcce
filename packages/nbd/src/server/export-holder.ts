import type { NbdPeer } from "./nbd-peer.ts";
import type { NamedExport, NbdExportSource } from "./export-source.ts";

/** The export that a connection has asked for last, opened. Options that name it again get the same one. */
export class ExportHolder {
  readonly #source: NbdExportSource;
  readonly #client: NbdPeer;
  readonly #gone: AbortSignal;
  readonly #onFailure: (error: unknown) => void;
  #name: string | undefined;
  #held: NamedExport | undefined;

  /**
   * @param gone - for {@link NbdExportSource.open}
   * @param onFailure - told what goes wrong when an export is let go of
   */
  constructor(source: NbdExportSource, client: NbdPeer, gone: AbortSignal, onFailure: (error: unknown) => void) {
    this.#source = source;
    this.#client = client;
    this.#gone = gone;
    this.#onFailure = onFailure;
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

  /** Lets go of what is held. Never rejects. */
  async release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    try {
      await held?.export.release?.();
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
