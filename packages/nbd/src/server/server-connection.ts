import { ImgError } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import { ConnectionInput } from "./connection-input.ts";
import { DataWindows } from "./data-windows.ts";
import { ExportHolder } from "./export-holder.ts";
import type { NbdExportSource } from "./export-source.ts";
import { isWritable } from "./export-features.ts";
import { Handshake, type Negotiated } from "./handshake.ts";
import { InFlight, type TotalInFlight } from "./in-flight.ts";
import type { NbdExport } from "./nbd-export.ts";
import type { NbdPeer } from "./nbd-peer.ts";
import { ReplyMemory, type SlabPool } from "./reply-memory.ts";
import { ReplyWriter } from "./reply-writer.ts";
import type { ServerSettings, ServerTls } from "./server-options.ts";
import { Transmission } from "./transmission.ts";

/** How long a client that we have said goodbye to may take to say it too. */
const lingerTime = 1000;

/** What the phases of a connection share. */
export interface ConnectionState {
  readonly stream: DuplexStream;
  readonly input: ConnectionInput;
  readonly client: NbdPeer;
  /** Whether the server is shutting down. */
  readonly isStopping: boolean;
  /** Aborted when nobody waits for answers any more. */
  readonly gone: AbortSignal;
  /** Protects the connection from here on, and gives what is received then. */
  secure(tls: ServerTls): Promise<ConnectionInput>;
  /** From now on nobody waits for answers. */
  abandon(reason: unknown): void;
}

/** What all connections of a server share. */
export interface SharedState {
  readonly settings: ServerSettings;
  readonly source: NbdExportSource;
  readonly total: TotalInFlight;
  readonly pool: SlabPool;
  /** For each export that clients have used. */
  readonly windows: WeakMap<NbdExport, DataWindows>;
  /** Told of failures that no client hears of: what clients were told is done may be lost. */
  readonly onLoss: (error: unknown) => void;
}

/** One client, from its greeting to its end. */
export class ServerConnection implements ConnectionState {
  readonly #shared: SharedState;
  readonly #client: { -readonly [K in keyof NbdPeer]: NbdPeer[K] };
  readonly #holder: ExportHolder;
  readonly #gone = new AbortController();
  #stream: DuplexStream;
  #input: ConnectionInput;
  #phase: "handshake" | "transmission" | "over" = "handshake";
  #stopping = false;
  /** Why the connection was dropped, if it was. */
  #dropped: { readonly reason: unknown } | undefined;
  #timers: ReturnType<typeof setTimeout>[] = [];

  constructor(stream: DuplexStream, id: number, shared: SharedState) {
    this.#shared = shared;
    this.#stream = stream;
    this.#input = new ConnectionInput(stream);
    this.#client = { id, label: stream.label, secure: false, identity: undefined, exportName: undefined };
    this.#holder = new ExportHolder(shared.source, this.#client, this.#gone.signal, (error) => {
      this.#lose(error);
    });
  }

  get stream(): DuplexStream {
    return this.#stream;
  }

  get input(): ConnectionInput {
    return this.#input;
  }

  get client(): NbdPeer {
    return this.#client;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Serves the client until it has left. Never rejects: what went wrong is told to the observer. */
  async run(): Promise<void> {
    const { observer } = this.#shared.settings;
    observer?.connected?.(this.#client);
    let reason: unknown;
    try {
      await this.#serve();
    } catch (error) {
      reason = error;
    }
    this.#phase = "over";
    await this.#finish(reason);
    observer?.disconnected?.(this.#client, reason);
  }

  /** Answers what is begun, nothing new, and ends the connection. */
  stop(): void {
    this.#stopping = true;
    if (this.#phase === "transmission") {
      this.#input.stop();
    } else if (this.#phase === "handshake") {
      // until then, options are answered: the server is shutting down
      this.#after(lingerTime, () => {
        this.#input.stop();
      });
    }
  }

  /** Drops the connection. */
  destroy(reason: unknown): void {
    this.#dropped ??= { reason };
    this.#stream.destroy(reason);
    this.abandon(reason);
  }

  abandon(reason: unknown): void {
    this.#gone.abort(reason);
  }

  async secure(tls: ServerTls): Promise<ConnectionInput> {
    const { stream, identity } = await tls.upgrade(this.#stream);
    this.#stream = stream;
    this.#input = new ConnectionInput(stream);
    this.#client.secure = true;
    this.#client.identity = identity;
    return this.#input;
  }

  async #serve(): Promise<void> {
    const { settings, source } = this.#shared;
    const stopHandshake = this.#after(settings.handshakeTimeout, () => {
      this.destroy(new ImgError("ETIMEDOUT", `${this.#client.label}: no handshake in ${settings.handshakeTimeout} ms`));
    });
    let negotiated: Negotiated | undefined;
    try {
      negotiated = await new Handshake(this, settings, source, this.#holder).run();
    } finally {
      stopHandshake();
    }
    if (negotiated !== undefined) {
      this.#client.exportName = negotiated.name;
      settings.observer?.ready?.(this.#client);
      await this.#transmit(negotiated);
    }
  }

  async #transmit(negotiated: Negotiated): Promise<void> {
    const { settings, total, pool } = this.#shared;
    const memory = new ReplyMemory(pool);
    const writer = new ReplyWriter(this.#stream, memory, (error) => {
      this.destroy(error);
    });
    const inFlight = new InFlight(total, settings);
    const windows = this.#windowsOf(negotiated.export);
    const transmission = new Transmission({ state: this, settings, memory, writer, inFlight, windows }, negotiated);
    this.#phase = "transmission";
    if (this.#stopping) {
      this.#input.stop();
    }
    this.#watch(
      settings.stallTimeout,
      () => (writer.isBusy ? writer.writeCount : undefined),
      `it took nothing of what it asked for in ${settings.stallTimeout} ms`,
    );
    this.#watch(
      settings.stallTimeout,
      () => transmission.awaitedBytes,
      `nothing came of what it wanted to write in ${settings.stallTimeout} ms`,
    );
    this.#watch(
      settings.idleTimeout,
      () => (inFlight.requests === 0 ? transmission.requestCount : undefined),
      `it asked for nothing in ${settings.idleTimeout} ms`,
    );
    await transmission.run();
    if (this.#dropped !== undefined) {
      throw this.#dropped.reason;
    }
    if (this.#stopping && isWritable(negotiated.export)) {
      await this.#flush(negotiated.export);
    }
  }

  /** Makes durable what the client hasn't asked to be. */
  async #flush(exported: NbdExport): Promise<void> {
    try {
      await exported.flush?.();
    } catch (error) {
      this.#lose(error);
      throw error;
    }
  }

  #lose(error: unknown): void {
    this.#shared.settings.observer?.failed?.(this.#client, error);
    this.#shared.onLoss(error);
  }

  #windowsOf(exported: NbdExport): DataWindows | undefined {
    const { windows } = this.#shared;
    const known = windows.get(exported);
    const context = exported.contexts?.find(({ name }) => name === "base:allocation");
    if (known !== undefined || context === undefined) {
      return known;
    }
    const made = new DataWindows(exported.size, context);
    windows.set(exported, made);
    return made;
  }

  /** Ends a connection politely where that is possible: what was sent arrives, if the client takes it within a second. */
  async #finish(reason: unknown): Promise<void> {
    const stop = this.#after(lingerTime, () => {
      this.#stream.destroy();
    });
    try {
      await this.#stream.end();
      if (reason !== undefined || this.#stopping) {
        // a socket that is closed over unread bytes loses what was sent last
        await this.#input.discardRest();
      }
    } catch {
      // there is nobody to say goodbye to
    }
    stop();
    this.#stream.destroy(reason);
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    await this.#holder.release();
  }

  #after(milliseconds: number, callback: () => void): () => void {
    if (milliseconds === 0) {
      return () => undefined;
    }
    const timer = setTimeout(callback, milliseconds);
    this.#timers.push(timer);
    return () => {
      clearTimeout(timer);
    };
  }

  /** Drops the connection when `progress` stays the same for so long; `undefined`: there is nothing to wait for now. */
  #watch(milliseconds: number, progress: () => number | undefined, reason: string): void {
    if (milliseconds === 0) {
      return;
    }
    const looks = 4;
    let seen: number | undefined;
    let unchanged = 0;
    const index = this.#timers.length;
    const look = (): void => {
      const now = progress();
      unchanged = now !== undefined && now === seen ? unchanged + 1 : 0;
      seen = now;
      if (unchanged >= looks) {
        this.destroy(new ImgError("ETIMEDOUT", `${this.#client.label}: ${reason}`));
      } else {
        this.#timers[index] = setTimeout(look, milliseconds / looks);
      }
    };
    this.#timers[index] = setTimeout(look, milliseconds / looks);
  }
}
