import {
  alignDown,
  alignUp,
  checkRange,
  hex,
  ImgError,
  type Extent,
  type Storage,
  type StorageLimits,
  type WriteZeroesOptions,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { NbdConnector, NegotiateOptions } from "./client/client-options.ts";
import { connectInTime, defaultHandshakeTimeout } from "./client/connect-in-time.ts";
import { ConnectionPool } from "./client/connection-pool.ts";
import { extentsOf } from "./client/extents-of.ts";
import { NbdConnection, type ClientRequest } from "./client/nbd-connection.ts";
import { negotiate, type Negotiated } from "./client/negotiate.ts";
import type { StatusExtent } from "./protocol/chunk-payload.ts";
import { transmissionFlags } from "./protocol/handshake-numbers.ts";
import type { BlockSizes } from "./protocol/info-item.ts";
import type { ReplyStyle } from "./protocol/reply.ts";
import { commandFlags, commands, payloadLimit } from "./protocol/transmission-numbers.ts";

/** Bytes that one READ or WRITE carries at most: long enough for speed, short enough to be spread over connections. */
const pieceLimit = 2 * 1024 * 1024;
/** Bytes that one request without data is about at most: what fits in 32 bits, whatever the block size. */
const rangeLimit = 2 ** 31;

/** Options of {@link NbdStorage.open}. Times are milliseconds. */
export interface NbdStorageOptions extends NegotiateOptions {
  /** Default `false`. */
  readonly writable?: boolean;
  /** Connections at once, if the server says that it can have several (`CAN_MULTI_CONN`). Default 4. */
  readonly connections?: number;
  /** In which a lost connection may come back; 0: never. Default 5 s. */
  readonly reconnectTimeout?: number;
  /** For connecting and the handshake, each time; 0: without end. Default 10 s. */
  readonly handshakeTimeout?: number;
  /** For people. Default: the location, or what the connection is called. */
  readonly label?: string;
  /** An NBD URI that opens the export again. Default: none. */
  readonly location?: string;
}

/** What a server says of its export. */
export interface NbdExportFacts {
  /** Maybe empty. */
  readonly description: string;
  readonly blockSizes: BlockSizes;
  readonly replies: ReplyStyle;
  /** Names of the contexts that {@link NbdStorage.status} knows. */
  readonly contexts: readonly string[];
  /** The server can have several connections to it at once. */
  readonly multiConn: boolean;
}

/**
 * An export of any NBD server as a storage. Its length is fixed.
 *
 * Requests are answered in any order, over several connections where the server can. What a connection that is lost had not answered is sent again over
 * another one, or over a new one: reads and changes alike, because doing them twice is doing them once. But changes that were acknowledged
 * and not synced may be lost with a server; when the last connection ends while there are some, every later call fails with `EIO`, `sync` and
 * reads included. So does every call after the server broke the protocol (`EPROTO`, `ERR_IMG_LIMIT`).
 *
 * It has `writeZeroes`, `discard` and `extents` only if the server has what they need.
 */
export class NbdStorage implements Storage {
  readonly label: string;
  readonly size: number;
  readonly writable: boolean;
  readonly limits: StorageLimits;
  readonly location: string | undefined;
  readonly identity: string | undefined;
  /** What the server said when it was opened. */
  readonly facts: NbdExportFacts;
  readonly #pool: ConnectionPool;
  readonly #pieceLength: number;

  /**
   * Connects to a server and opens one of its exports.
   * @throws ImgError `ENOENT` when there is no such export; `ERR_IMG_READ_ONLY` when it can't be written and is to be; `ERR_IMG_DENIED` when the server
   * doesn't allow it or wants TLS; `EPROTO` when the peer is no NBD server; `ETIMEDOUT`; what connecting fails with
   */
  static async open(connect: NbdConnector, options: NbdStorageOptions = {}): Promise<NbdStorage> {
    const settings = { connections: options.connections ?? 4, reconnectTimeout: options.reconnectTimeout ?? 5000 };
    if (!(settings.connections >= 1) || !(settings.reconnectTimeout >= 0)) {
      throw new RangeError("connections: expected at least 1; reconnectTimeout: expected at least 0");
    }
    const timeout = options.handshakeTimeout ?? defaultHandshakeTimeout;
    const open = (signal?: AbortSignal): Promise<NbdConnection> =>
      connectInTime(
        connect,
        { timeout, signal },
        async (stream) => new NbdConnection(await negotiate(stream, options)),
      );
    const first = await open();
    const { facts } = first;
    const label = options.label ?? options.location ?? facts.stream.label;
    try {
      checkFacts(facts, label, options);
    } catch (error) {
      await first.disconnect();
      throw error;
    }
    const again = async (signal?: AbortSignal): Promise<NbdConnection> => checkSame(await open(signal), facts, label);
    return new NbdStorage(facts, label, options, new ConnectionPool(first, { label, ...settings, open: again }));
  }

  private constructor(facts: Negotiated, label: string, options: NbdStorageOptions, pool: ConnectionPool) {
    const { minimum, maximum } = facts.blockSizes;
    this.label = label;
    this.size = facts.size;
    this.writable = options.writable === true;
    this.limits = { request: minimum, memory: 1, zero: minimum, discard: minimum };
    this.location = options.location;
    this.identity = options.location;
    this.#pool = pool;
    this.#pieceLength = alignDown(Math.min(pieceLimit, maximum, payloadLimit), minimum);
    this.facts = {
      description: facts.description,
      blockSizes: facts.blockSizes,
      replies: facts.style,
      contexts: [...facts.contexts.keys()],
      multiConn: (facts.flags & transmissionFlags.canMultiConn) !== 0,
    };
    this.#hideUnless((facts.flags & transmissionFlags.sendWriteZeroes) !== 0, "writeZeroes");
    this.#hideUnless((facts.flags & transmissionFlags.sendTrim) !== 0, "discard");
    this.#hideUnless(facts.contexts.has("base:allocation"), "extents");
    this.#hideUnless(options.location !== undefined, "resolve");
  }

  /** Connections that are open now. */
  get connectionCount(): number {
    return this.#pool.count;
  }

  async read(into: IoVector, offset: number): Promise<void> {
    this.#pool.check();
    checkRange(offset, into.length);
    const available = Math.max(0, Math.min(into.length, this.size - offset));
    if (available < into.length) {
      into.fill(0, available);
    }
    await this.#split(offset, available, this.#pieceLength, (start, length) => {
      const part = into.slice(start - offset, start - offset + length);
      return this.#read({ type: commands.read, offset: start, length, into: part });
    });
  }

  async write(from: IoVector, offset: number): Promise<void> {
    this.#pool.check();
    checkRange(offset, from.length);
    this.#checkWritable();
    if (from.length === 0) {
      return;
    }
    this.#checkInside(offset, from.length);
    await this.#split(offset, from.length, this.#pieceLength, (start, length) => {
      const part = from.slice(start - offset, start - offset + length);
      return this.#write({ type: commands.write, offset: start, length, from: part });
    });
  }

  async writeZeroes?(offset: number, length: number, options: WriteZeroesOptions = {}): Promise<void> {
    this.#pool.check();
    checkRange(offset, length);
    this.#checkWritable();
    if (length > 0) {
      this.#checkInside(offset, length);
      const flags = options.allocate === true ? commandFlags.noHole : 0;
      await this.#withoutData(commands.writeZeroes, flags, offset, length);
    }
  }

  async discard?(offset: number, length: number): Promise<void> {
    this.#pool.check();
    checkRange(offset, length);
    this.#checkWritable();
    const inside = Math.min(length, Math.max(0, this.size - offset));
    await this.#withoutData(commands.trim, 0, offset, inside);
  }

  async extents?(offset: number, length: number): Promise<readonly Extent[]> {
    const found = await this.status("base:allocation", offset, length);
    return extentsOf(found, offset);
  }

  /**
   * What the server says about the start of a range, in one of the contexts that were asked for when it was opened: flags of `base:allocation`, of a dirty
   * bitmap (`qemu:dirty-bitmap:NAME`), …
   *
   * @returns one behind the other from `offset` on, at most `length` bytes; nothing if the server doesn't know the context, or refuses to tell
   */
  async status(context: string, offset: number, length: number): Promise<readonly StatusExtent[]> {
    this.#pool.check();
    checkRange(offset, length);
    const { request } = this.limits;
    const end = Math.min(this.size, offset + length);
    const start = alignDown(offset, request);
    const asked = Math.min(alignUp(end, request) - start, rangeLimit);
    if (offset >= end || !this.facts.contexts.includes(context)) {
      return [];
    }
    const all = await this.#ask(context, start, asked);
    return cut(all, offset - start, Math.min(end - offset, start + asked - offset));
  }

  /** Nothing is buffered here. */
  async flush(): Promise<void> {
    this.#pool.check();
  }

  async sync(): Promise<void> {
    this.#pool.check();
    if (this.writable) {
      await this.#pool.sync(async (connection) => {
        // who has no FLUSH says that there is nothing to be flushed
        if (connection.can(transmissionFlags.sendFlush)) {
          await connection.request({ type: commands.flush, offset: 0, length: 0 });
        }
      });
    }
  }

  /**
   * The location of something that is named inside: names with a scheme and absolute paths stay as they are, others are exports of the same
   * server, beside this one.
   */
  resolve?(relative: string): string {
    if (relative.startsWith("/") || /^[a-z][a-z0-9+.-]+:/i.test(relative)) {
      return relative;
    }
    const [, before = "", query = ""] = /^([^?]*\/)[^/?]*(\?.*)?$/s.exec(this.location ?? "") ?? [];
    return `${before}${relative.split("/").map(encodeURIComponent).join("/")}${query}`;
  }

  /**
   * Waits for what is in flight, tells the server that no more comes, and ends the connections: at the latest after 5 s, for servers that take nothing.
   * Doesn't sync.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool.close();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  async #ask(context: string, offset: number, length: number): Promise<readonly StatusExtent[]> {
    try {
      return await this.#pool.read(async (connection) => {
        const id = connection.facts.contexts.get(context);
        if (id === undefined) {
          return [];
        }
        const answer = await connection.request({ type: commands.blockStatus, offset, length });
        return answer?.extents(id) ?? [];
      });
    } catch (error) {
      this.#pool.check();
      if (isRefusal(error)) {
        return [];
      }
      throw error;
    }
  }

  async #withoutData(type: number, flags: number, offset: number, length: number): Promise<void> {
    await this.#split(offset, length, rangeLimit, async (start, part) => {
      try {
        await this.#write({ type, flags, offset: start, length: part });
      } catch (error) {
        // some servers have limits for these, too
        if (!isRefusal(error) || part <= this.#pieceLength) {
          throw error;
        }
        await this.#split(start, part, this.#pieceLength, (at, piece) =>
          this.#write({ type, flags, offset: at, length: piece }),
        );
      }
    });
  }

  async #read(request: ClientRequest): Promise<void> {
    await this.#pool.read((connection) => connection.request(request));
  }

  async #write(request: ClientRequest): Promise<void> {
    await this.#pool.write((connection) => connection.request(request));
  }

  /** Does a range in parts that end on multiples of `step`, all of them at once. Settled when none is in flight any more. */
  async #split(
    offset: number,
    length: number,
    step: number,
    work: (offset: number, length: number) => Promise<void>,
  ): Promise<void> {
    const end = offset + length;
    const parts: Promise<void>[] = [];
    for (let at = offset; at < end;) {
      // a step isn't always a power of two: it is only as much as the server takes
      const stop = Math.min(end, at - (at % step) + step);
      parts.push(work(at, stop - at));
      at = stop;
    }
    if (parts.length > 1) {
      // whoever is told of a failure may use the buffers again
      await Promise.allSettled(parts);
    }
    await Promise.all(parts);
  }

  #checkWritable(): void {
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
    }
  }

  #checkInside(offset: number, length: number): void {
    if (offset + length > this.size) {
      const message = `${this.label}: cannot write ${String(length)} bytes at ${hex(offset)}: its length is fixed at ${hex(this.size)}`;
      throw new ImgError("ERR_IMG_NO_SPACE", message, { subject: this.label });
    }
  }

  #hideUnless(able: boolean, name: string): void {
    if (!able) {
      Object.defineProperty(this, name, { value: undefined });
    }
  }
}

/** @throws ImgError unless the export can be used as it is to be used */
function checkFacts({ size, flags, blockSizes }: Negotiated, label: string, options: NbdStorageOptions): void {
  if (size % blockSizes.minimum !== 0) {
    // its last bytes couldn't be read, and nobody would notice
    const message = `${label}: ${String(size)} bytes, which isn't a multiple of the server's blocks of ${String(blockSizes.minimum)} bytes`;
    throw new ImgError("ERR_IMG_UNSUPPORTED", message, { subject: label });
  }
  if (options.writable === true && (flags & transmissionFlags.readOnly) !== 0) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${label}: the server's export is read-only`, { subject: label });
  }
}

/** @throws ImgError `ERR_IMG_UNSUPPORTED` when a new connection leads to something else than the first */
function checkSame(connection: NbdConnection, first: Negotiated, label: string): NbdConnection {
  const { size, flags, blockSizes } = connection.facts;
  const isSame =
    size === first.size &&
    ((flags ^ first.flags) & transmissionFlags.readOnly) === 0 &&
    blockSizes.minimum <= first.blockSizes.minimum &&
    blockSizes.maximum >= first.blockSizes.maximum;
  if (!isSame) {
    connection.destroy();
    const message = `${label}: the export isn't what it was: ${String(size)} bytes, before ${String(first.size)}`;
    throw new ImgError("ERR_IMG_UNSUPPORTED", message, { subject: label });
  }
  return connection;
}

/** Whether a server has refused a request rather than failed to do it. */
function isRefusal(error: unknown): boolean {
  return error instanceof ImgError && ["EINVAL", "EOVERFLOW", "ERR_IMG_UNSUPPORTED", "EPERM"].includes(error.code);
}

/** The part of extents from `start` on, `length` bytes at most. */
function cut(extents: readonly StatusExtent[], start: number, length: number): StatusExtent[] {
  const result: StatusExtent[] = [];
  let at = 0;
  for (const extent of extents) {
    const from = Math.max(at, start);
    const to = Math.min(at + extent.length, start + length);
    if (from < to) {
      result.push({ length: to - from, flags: extent.flags });
    }
    at += extent.length;
  }
  return result;
}
