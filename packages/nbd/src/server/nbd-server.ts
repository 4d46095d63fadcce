import { ImgError } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { DataWindows } from "./data-windows.ts";
import { exportSource, type NbdExports, type NbdExportSource } from "./export-source.ts";
import { TotalInFlight } from "./in-flight.ts";
import type { NbdExport } from "./nbd-export.ts";
import { SlabPool } from "./reply-memory.ts";
import { ServerConnection } from "./server-connection.ts";
import { serverSettings, type NbdServerOptions, type ServerSettings } from "./server-options.ts";

/** Options of {@link NbdServer.close}. */
export interface NbdCloseOptions {
  /** Milliseconds after which clients that are still there are dropped. Default 5000. */
  readonly grace?: number;
}

/**
 * Serves exports to any number of clients, each over a stream that somebody else has accepted.
 *
 * The exports stay the caller's: they are flushed when the server closes, and nothing else.
 */
export class NbdServer implements AsyncDisposable {
  readonly #settings: ServerSettings;
  readonly #source: NbdExportSource;
  readonly #total: TotalInFlight;
  readonly #pool = new SlabPool();
  readonly #windows = new WeakMap<NbdExport, DataWindows>();
  readonly #connections = new Map<ServerConnection, Promise<void>>();
  /** What failed first that no client has heard of. */
  #loss: { readonly error: unknown } | undefined;
  #lastId = 0;
  #closing = false;

  /** @throws RangeError for options, or block sizes of exports in a map, that can't be */
  constructor(exports: NbdExports, options: NbdServerOptions = {}) {
    this.#settings = serverSettings(options);
    this.#source = exportSource(exports);
    this.#total = new TotalInFlight(this.#settings.maxTotalBytes);
  }

  /** Clients that are connected. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Serves one client until it has left, and closes its stream. Never rejects: the observer hears of what went wrong. A client too many, or one that
   * comes while the server closes, is dropped at once.
   */
  async serve(stream: DuplexStream): Promise<void> {
    const { maxConnections, observer } = this.#settings;
    if (this.#closing) {
      stream.destroy(new ImgError("ERR_IMG_CLOSED", `${stream.label}: the server is closing`));
      return;
    }
    if (this.#connections.size >= maxConnections) {
      const error = new ImgError("ERR_IMG_LIMIT", `${stream.label}: too many clients: at most ${maxConnections}`);
      stream.destroy(error);
      observer?.refused?.(stream.label, error);
      return;
    }
    const connection = new ServerConnection(stream, ++this.#lastId, {
      settings: this.#settings,
      source: this.#source,
      total: this.#total,
      pool: this.#pool,
      windows: this.#windows,
      onLoss: (error) => {
        this.#loss ??= { error };
      },
    });
    const served = connection.run();
    this.#connections.set(connection, served);
    try {
      await served;
    } finally {
      this.#connections.delete(connection);
    }
  }

  /**
   * Ends all connections: what was begun is finished and answered, what comes later is refused, the exports that clients could change are
   * flushed. Whoever hasn't gone after the grace time is dropped.
   * @throws when all that is done, what failed first that no client has heard of: flushing at the end of a connection, or letting go of an export,
   *   since the server began. Closing again doesn't.
   */
  async close(options: NbdCloseOptions = {}): Promise<void> {
    this.#closing = true;
    const connections = [...this.#connections];
    for (const [connection] of connections) {
      connection.stop();
    }
    const timer = setTimeout(() => {
      for (const [connection] of connections) {
        connection.destroy(new ImgError("ETIMEDOUT", "the server has closed"));
      }
    }, options.grace ?? 5000);
    await Promise.all(connections.map(([, served]) => served));
    clearTimeout(timer);
    const loss = this.#loss;
    this.#loss = undefined;
    if (loss !== undefined) {
      throw loss.error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** {@link NbdServer} for a single client. */
export function serveConnection(
  stream: DuplexStream,
  exports: NbdExports,
  options: NbdServerOptions = {},
): Promise<void> {
  return new NbdServer(exports, options).serve(stream);
}
