import { ImgError, perform, type Io, type Storage, type StorageOpener } from "@img/format-core";
import type { BridgeAnswer, BridgeCall } from "./bridge-call.ts";
import { BridgeLink, type BridgeLinkOptions } from "./bridge-link.ts";
import { moduleSpecifier } from "./module-specifier.ts";
import { adoptStorage } from "./sync-storage-bridge.ts";
import type { ModuleLocation } from "./worker-thread.ts";

/** Options of {@link BridgeOpener}. */
export interface BridgeOpenerOptions extends BridgeLinkOptions {
  /** Name of the export that opens a storage; it is called with `{ ...options, location, writable }`. Default `"open"`. */
  readonly export?: string;
  /** Name of the export that gives the one true spelling of a location; it is called with `{ ...options, location }`. Default `"canonical"`. */
  readonly canonicalExport?: string;
  /** For both; what can be cloned. Default: nothing. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/**
 * Opens storages by location in one worker thread, for gates: what an image refers to can then be opened, and read, in the synchronous world, although it can
 * only be had asynchronously.
 *
 * The worker is started at once, and ends when the opener and all storages that it opened are closed.
 */
export class BridgeOpener implements StorageOpener, Disposable, AsyncDisposable {
  readonly #link: BridgeLink;
  readonly #specifier: string;
  readonly #options: BridgeOpenerOptions;
  #closed = false;

  /**
   * In browsers, the worker starts only when the caller lets it: await something (`ready`) before the first call that blocks.
   * @param specifier - the module whose exports open storages, as for `SyncStorageBridge.open`
   */
  constructor(specifier: ModuleLocation, options: BridgeOpenerOptions = {}) {
    this.#specifier = moduleSpecifier(specifier);
    this.#options = options;
    this.#link = new BridgeLink(options);
  }

  /**
   * Resolves when the worker runs and has the module.
   * @throws ImgError when there is no such module, or it fails; TypeError when it lacks the export
   */
  async ready(): Promise<void> {
    const { export: name = "open" } = this.#options;
    await this.#link.call({ method: "check", specifier: this.#specifier, name, argument: undefined }, this.#specifier);
  }

  /** Opens what lies at `location`. */
  *open(location: string, { writable }: { readonly writable: boolean }): Io<Storage> {
    const { options, export: name = "open" } = this.#options;
    const argument = { ...options, location, writable };
    const answer = yield* this.#ask({ method: "open", specifier: this.#specifier, name, argument });
    this.#link.retain();
    return adoptStorage(this.#link, answer);
  }

  /**
   * The one true spelling of `location`.
   * @throws ImgError `ERR_IMG_UNSUPPORTED` when the module has no export for it
   */
  *canonical(location: string): Io<string> {
    const { options, canonicalExport: name = "canonical" } = this.#options;
    const argument = { ...options, location };
    const answer = yield* this.#ask({ method: "canonical", specifier: this.#specifier, name, argument });
    return answer.value as string;
  }

  /** No more storages are opened. Those that are open stay so. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await this.#link.release();
    }
  }

  /** As the one with a promise, which is only about the worker's end. */
  [Symbol.dispose](): void {
    void this[Symbol.asyncDispose]();
  }

  #ask(call: BridgeCall): Io<BridgeAnswer> {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.#specifier} is closed`, { subject: this.#specifier });
    }
    return perform({
      label: this.#specifier,
      async: () => this.#link.call(call, this.#specifier),
      sync: () => this.#link.callSync(call, this.#specifier),
    });
  }
}
