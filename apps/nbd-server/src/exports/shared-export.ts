import type { NbdExport } from "@img/nbd";
import type { OfferedExport } from "./offered-export.ts";

/** An export that is opened when the first client asks for it, and closed when the last has done with it. All of them have the same one. */
export class SharedExport {
  readonly #open: () => Promise<OfferedExport>;
  #opened: Promise<OfferedExport> | undefined;
  #closing: Promise<void> = Promise.resolve();
  #users = 0;

  constructor(open: () => Promise<OfferedExport>) {
    this.#open = open;
  }

  /** Whether anybody uses it, or it isn't closed yet. */
  get inUse(): boolean {
    return this.#users > 0 || this.#opened !== undefined;
  }

  /** The export for one more client, which releases it. @param gone - for {@link OfferedExport.forClient} */
  async acquire(gone: AbortSignal): Promise<NbdExport> {
    this.#users++;
    let opened: Promise<OfferedExport> | undefined;
    try {
      await this.#closing;
      opened = this.#opened ??= this.#open();
      const offered = await opened;
      let released = false;
      const release = async (): Promise<void> => {
        if (!released) {
          released = true;
          await this.#release();
        }
      };
      return { ...offered.forClient(gone), release };
    } catch (error) {
      // somebody else who has heard of the failure before may have opened it again
      if (this.#opened === opened) {
        this.#opened = undefined;
      }
      this.#users--;
      throw error;
    }
  }

  async #release(): Promise<void> {
    this.#users--;
    const opened = this.#opened;
    if (this.#users > 0 || opened === undefined) {
      return;
    }
    this.#opened = undefined;
    const closed = opened.then((each) => each.close());
    // the next user waits for it, whatever comes of it
    this.#closing = closed.catch(() => undefined);
    await closed;
  }
}
