import { ImgError, isImgError } from "@img/format-core";
import { transmissionFlags } from "../protocol/handshake-numbers.ts";
import { Durability } from "./durability.ts";
import { LostConnection } from "./lost-connection.ts";
import type { NbdConnection } from "./nbd-connection.ts";

/** Requests in flight on one connection; others wait here. */
const requestsPerConnection = 32;
/** Reads in flight on each connection from which on more connections are worth having. */
const busy = 4;
/** How often a request is sent again after its connection was lost. */
const repeatsLimit = 3;
/** Milliseconds between attempts to connect again: doubled from the first to the last. */
const pauses = { first: 50, last: 1000 } as const;

/** Milliseconds in which further connections are there, or are done without: changes wait for them. */
const growTime = 2000;

/** How a {@link ConnectionPool} works. */
export interface PoolOptions {
  readonly label: string;
  /** Connections at once, if the server is made for several. */
  readonly connections: number;
  /** Milliseconds in which a lost connection may come back. */
  readonly reconnectTimeout: number;
  /**
   * Makes another connection to the same export.
   * @throws when it can't, or the export isn't what it was; the signal's reason, at once
   */
  open(signal?: AbortSignal): Promise<NbdConnection>;
}

/**
 * The connections to one export: chooses one for each request, makes more when they help, and makes up for lost ones.
 *
 * What wasn't answered is sent again. That is right as long as the server holds everything that it has acknowledged; and that is known if it was made
 * durable, or if another connection is there that is older than those changes. Otherwise the server may have been restarted and may have lost
 * them: then the pool is broken, and everything fails.
 */
export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #durability = new Durability();
  #connections: NbdConnection[] = [];
  /** Connections that make sense: less than asked for when the server doesn't let us have more. */
  #most: number;
  #growing: Promise<void> | undefined;
  /** Makes do with the connections that are there. */
  #stopGrowing: (() => void) | undefined;
  #reconnecting: Promise<void> | undefined;
  /** Why the last attempt to connect again had no success. */
  #unreachable: unknown;
  #broken: ImgError | undefined;
  #closed = false;
  #used = 0;
  readonly #waiting: (() => void)[] = [];
  #onIdle: (() => void) | undefined;

  constructor(first: NbdConnection, options: PoolOptions) {
    this.#options = options;
    this.#most = first.can(transmissionFlags.canMultiConn) ? options.connections : 1;
    this.#add(first);
  }

  /** Connections that are there. */
  get count(): number {
    return this.#connections.length;
  }

  /** @throws ImgError `ERR_IMG_CLOSED`; or why nothing can be done any more */
  check(): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.#options.label} is closed`, { subject: this.#options.label });
    }
    if (this.#broken !== undefined) {
      throw this.#broken;
    }
  }

  /** Sends a request that changes nothing. @throws what the server answers; why there is no connection */
  read<T>(send: (connection: NbdConnection) => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#repeat(send));
  }

  /** Sends a request that changes something. */
  write<T>(send: (connection: NbdConnection) => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      await this.#growForWrites();
      return this.#durability.change(() => this.#repeat(send));
    });
  }

  /** Sends a flush, which covers all changes that were acknowledged before, on whichever connection. */
  sync(send: (connection: NbdConnection) => Promise<unknown>): Promise<void> {
    return this.#inTurn(() => this.#durability.sync(() => this.#repeat(send)));
  }

  /** Waits for what is in flight, and ends all connections. Never fails. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#stopGrowing?.();
      if (this.#used > 0) {
        await new Promise<void>((resolve) => {
          this.#onIdle = resolve;
        });
      }
      await this.#growing;
      await Promise.all(this.#connections.splice(0).map((connection) => connection.disconnect()));
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    this.#used++;
    try {
      if (this.#used > this.#capacity) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      return await work();
    } finally {
      this.#used--;
      this.#waiting.shift()?.();
      if (this.#used === 0) {
        this.#onIdle?.();
      }
    }
  }

  get #capacity(): number {
    return requestsPerConnection * this.#most;
  }

  async #repeat<T>(send: (connection: NbdConnection) => Promise<T>): Promise<T> {
    for (let repeats = 0; ; repeats++) {
      let connection = this.#choose();
      while (connection === undefined) {
        await (this.#reconnecting ??= this.#reconnect());
        connection = this.#choose();
      }
      try {
        return await send(connection);
      } catch (error) {
        if (!(error instanceof LostConnection)) {
          throw error;
        }
        if (this.#broken !== undefined || repeats === repeatsLimit) {
          throw this.#broken ?? error.reason;
        }
      }
    }
  }

  /** The connection with the least to do; nothing is waited for, so that what is sent next counts for the next choice. `undefined`: there is none. */
  #choose(): NbdConnection | undefined {
    if (this.#broken !== undefined) {
      throw this.#broken;
    }
    let chosen: NbdConnection | undefined;
    for (const each of this.#connections) {
      if (chosen === undefined || each.inFlight < chosen.inFlight) {
        chosen = each;
      }
    }
    if (chosen !== undefined && chosen.inFlight >= busy && this.#mayGrow) {
      this.#growing ??= this.#grow();
    }
    return chosen;
  }

  /**
   * A connection that is made while changes are under way may be one to a server that was restarted since, and would be proof of nothing. Hence all are
   * made before the first change.
   */
  async #growForWrites(): Promise<void> {
    if (this.#mayGrow) {
      this.#growing ??= this.#grow();
    }
    if (this.#growing !== undefined) {
      await this.#growing;
    }
  }

  get #mayGrow(): boolean {
    const { length } = this.#connections;
    return length > 0 && length < this.#most && this.#durability.isIdle && !this.#closed;
  }

  async #grow(): Promise<void> {
    const missing = this.#most - this.#connections.length;
    const opening = await this.#openInTime(missing);
    for (const each of opening) {
      if (each.status === "fulfilled" && this.#connections.length > 0) {
        this.#add(each.value);
      } else if (each.status === "fulfilled") {
        // whom the others were connected to is gone
        each.value.destroy();
      }
    }
    // a server that doesn't want more isn't asked again
    this.#most = Math.max(1, this.#connections.length);
    this.#growing = undefined;
  }

  /** Makes connections for as long as changes may be kept waiting, which is shorter than a handshake may take otherwise. */
  async #openInTime(count: number): Promise<PromiseSettledResult<NbdConnection>[]> {
    const aborter = new AbortController();
    this.#stopGrowing = () => {
      aborter.abort(new ImgError("ETIMEDOUT", `no further NBD connection within ${growTime} ms`));
    };
    const timer = setTimeout(this.#stopGrowing, growTime);
    const opening = await Promise.allSettled(Array.from({ length: count }, () => this.#options.open(aborter.signal)));
    clearTimeout(timer);
    this.#stopGrowing = undefined;
    return opening;
  }

  #add(connection: NbdConnection): void {
    this.#connections.push(connection);
    connection.onChange = () => {
      this.#durability.acknowledge();
    };
    connection.onLost = (reason) => {
      this.#lose(connection, reason);
    };
  }

  #lose(connection: NbdConnection, reason: unknown): void {
    this.#connections = this.#connections.filter((each) => each !== connection);
    const { label } = this.#options;
    if (isImgError(reason, "EPROTO") || isImgError(reason, "ERR_IMG_LIMIT")) {
      this.#break(
        new ImgError(reason.code, `${label}: the server broke the protocol: ${reason.message}`, { cause: reason }),
      );
    } else if (this.#connections.length === 0 && !this.#durability.isSafe) {
      const why =
        "the connection was lost, and with it maybe what the server had acknowledged and wasn't asked to flush";
      this.#break(new ImgError("EIO", `${label}: ${why}`, { cause: reason, subject: label }));
    }
  }

  #break(error: ImgError): void {
    this.#broken ??= error;
    for (const connection of this.#connections.splice(0)) {
      connection.destroy();
    }
  }

  async #reconnect(): Promise<void> {
    const { reconnectTimeout, label } = this.#options;
    // who was given up is asked once for each request, without waiting
    const end = this.#unreachable === undefined ? Date.now() + reconnectTimeout : 0;
    try {
      for (let pause: number = pauses.first; ; pause = Math.min(2 * pause, pauses.last)) {
        try {
          if (reconnectTimeout > 0) {
            this.#add(await this.#options.open());
            this.#unreachable = undefined;
            return;
          }
        } catch (error) {
          this.#unreachable = error;
          if (isImgError(error, "ERR_IMG_UNSUPPORTED") || isImgError(error, "EPROTO")) {
            throw error;
          }
        }
        if (Date.now() + pause > end || this.#closed) {
          const cause = this.#unreachable;
          throw new ImgError("EIO", `${label}: the connection was lost, and couldn't be made again`, {
            cause,
            subject: label,
          });
        }
        await new Promise<void>((resolve) => setTimeout(resolve, pause));
      }
    } finally {
      this.#reconnecting = undefined;
    }
  }
}
