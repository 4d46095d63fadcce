import { ImgError, isPromise, wrapHostError } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { protocolError } from "../protocol/protocol-error.ts";
import type { ChunkHeader, SimpleReply } from "../protocol/reply.ts";
import { requestLength, writeRequest } from "../protocol/request.ts";
import { commandFlags, commands } from "../protocol/transmission-numbers.ts";
import { atMost } from "./at-most.ts";
import { EarlyAnswers } from "./early-answers.ts";
import { LostConnection } from "./lost-connection.ts";
import type { Negotiated } from "./negotiate.ts";
import { Outbox, type OutgoingRequest } from "./outbox.ts";
import type { PendingRequest } from "./pending-request.ts";
import { ReadAssembly } from "./read-assembly.ts";
import { ReplyReader, type RequestTable } from "./reply-reader.ts";
import { StatusAssembly } from "./status-assembly.ts";

const slabLength = 8192;
/** Milliseconds in which a server takes our goodbye, and what is before it. */
const goodbyeTime = 5000;
const changes: ReadonlySet<number> = new Set([commands.write, commands.trim, commands.writeZeroes]);

/** What {@link NbdConnection.request} sends. */
export interface ClientRequest {
  /** One of `commands`, but `disconnect`. */
  readonly type: number;
  /** `commandFlags`. */
  readonly flags?: number;
  readonly offset: number;
  readonly length: number;
  /** Of WRITE: `length` bytes. */
  readonly from?: IoVector;
  /** Of READ: `length` bytes. */
  readonly into?: IoVector;
}

/**
 * A connection after its handshake: any number of requests in flight, answered in any order.
 *
 * When it ends, whatever wasn't answered fails with a `LostConnection`. A server that doesn't keep to the protocol is dropped.
 */
export class NbdConnection implements RequestTable {
  readonly facts: Negotiated;
  /** Told once, when the connection is over and nobody has asked for that. */
  onLost: ((reason: unknown) => void) | undefined;
  /** Told at once when the server has acknowledged a change. */
  onChange: (() => void) | undefined;
  readonly #requests = new Map<number, PendingRequest>();
  readonly #reader: ReplyReader;
  #nextCookie = 1;
  readonly #outbox = new Outbox();
  readonly #early = new EarlyAnswers(() => {
    this.#fail(protocolError("a WRITE was answered whose data the server doesn't take"));
  });
  #sending: Promise<void> | undefined;
  #slab = new Uint8Array(slabLength);
  #slabUsed = 0;
  #lost: LostConnection | undefined;

  constructor(facts: Negotiated) {
    this.facts = facts;
    this.#reader = new ReplyReader(facts.queue, facts.style, this, facts.stream.label);
    void this.#receive();
  }

  /** Requests that aren't answered. */
  get inFlight(): number {
    return this.#requests.size;
  }

  /** Whether a flag is set: of `transmissionFlags`. */
  can(flag: number): boolean {
    return (this.facts.flags & flag) !== 0;
  }

  /**
   * Sends a request; the answer comes later. Until then the caller leaves its buffers alone.
   * @returns what was said about extents, for BLOCK_STATUS; otherwise nothing
   * @throws ImgError with the name of the server's error (`EIO`, `ENOSPC`, …; `ERR_IMG_UNSUPPORTED`); LostConnection
   */
  request(request: ClientRequest): Promise<StatusAssembly | undefined> {
    const { type, offset, length, into } = request;
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) {
        reject(this.#lost);
        return;
      }
      const status =
        type === commands.blockStatus ? new StatusAssembly(length, this.facts.style === "extended") : undefined;
      const data = into === undefined ? undefined : new ReadAssembly(into, offset);
      const done = (): void => {
        resolve(status);
      };
      this.#send(request, {
        type,
        offset,
        length,
        data,
        status,
        isBegun: false,
        isSent: false,
        error: undefined,
        resolve: done,
        reject,
      });
    });
  }

  /** Says goodbye and ends the connection; a server that doesn't take that within 5 s is left without. Nothing is to be in flight. Never fails. */
  async disconnect(): Promise<void> {
    if (this.#lost === undefined) {
      this.onLost = undefined;
      this.#enqueue({ type: commands.disconnect, offset: 0, length: 0 }, 0, undefined);
      await atMost(goodbyeTime, this.#end());
      this.#fail(new ImgError("ERR_IMG_CLOSED", `${this.facts.stream.label} is closed`));
    }
  }

  /** Drops the connection. */
  destroy(): void {
    this.onLost = undefined;
    this.#fail(new ImgError("ERR_IMG_CLOSED", `${this.facts.stream.label} is closed`));
  }

  find({ cookieHigh, cookieLow }: SimpleReply | ChunkHeader): PendingRequest {
    const request = cookieHigh === 0 ? this.#requests.get(cookieLow) : undefined;
    if (request === undefined) {
      throw protocolError("a reply to a request that was never made, or that is answered");
    }
    return request;
  }

  finish(request: PendingRequest, { cookieLow }: SimpleReply | ChunkHeader): void {
    this.#requests.delete(cookieLow);
    if (request.error !== undefined) {
      request.reject(request.error);
    } else if (request.isSent || request.type !== commands.write) {
      this.#succeed(request);
    } else {
      this.#early.hold(request);
    }
  }

  #succeed(request: PendingRequest): void {
    if (changes.has(request.type)) {
      this.onChange?.();
    }
    request.resolve();
  }

  async #end(): Promise<void> {
    try {
      await this.#sending;
      await this.facts.stream.end();
    } catch {
      // the server may have gone first
    }
  }

  #send(request: ClientRequest, pending: PendingRequest): void {
    let cookie = this.#nextCookie;
    while (this.#requests.has(cookie)) {
      cookie = (cookie + 1) >>> 0;
    }
    this.#nextCookie = (cookie + 1) >>> 0;
    this.#requests.set(cookie, pending);
    this.#enqueue(request, cookie, pending);
  }

  #header(request: ClientRequest, cookieLow: number): Uint8Array {
    const { type, offset, length, from } = request;
    const extended = this.facts.style === "extended";
    const bytes = extended ? requestLength.extended : requestLength.compact;
    if (this.#slabUsed + bytes > slabLength) {
      // not reused: parts of it may be on their way
      this.#slab = new Uint8Array(slabLength);
      this.#slabUsed = 0;
    }
    const header = this.#slab.subarray(this.#slabUsed, this.#slabUsed + bytes);
    this.#slabUsed += bytes;
    const payload = extended && from !== undefined ? commandFlags.payloadLength : 0;
    const flags = (request.flags ?? 0) | payload;
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    writeRequest(view, 0, { type, flags, cookieHigh: 0, cookieLow, offset, length }, extended);
    return header;
  }

  #enqueue(request: ClientRequest, cookie: number, pending: PendingRequest | undefined): void {
    const header = this.#header(request, cookie);
    const buffers = request.from === undefined ? [header] : [header, ...request.from.buffers];
    this.#outbox.push({ buffers, length: header.length + (request.from?.length ?? 0), pending });
    // what is asked for in the same turn goes out together
    this.#sending ??= Promise.resolve().then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    try {
      while (!this.#outbox.isEmpty && this.#lost === undefined) {
        const batch = this.#outbox.next();
        const sent = this.facts.stream.write(batch.flatMap(({ buffers }) => buffers));
        if (isPromise(sent)) {
          await sent;
        }
        this.#sent(batch);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#sending = undefined;
    }
  }

  #sent(batch: readonly OutgoingRequest[]): void {
    for (const { pending } of batch) {
      if (pending !== undefined) {
        pending.isSent = true;
      }
    }
    for (const request of this.#early.release()) {
      this.#succeed(request);
    }
  }

  async #receive(): Promise<void> {
    const { stream, queue } = this.facts;
    try {
      for (;;) {
        this.#reader.consume();
        const chunk = stream.read();
        const bytes = isPromise(chunk) ? await chunk : chunk;
        if (bytes === undefined) {
          throw new ImgError("ECONNRESET", `${stream.label}: the server has closed the connection`);
        }
        queue.push(bytes);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#lost !== undefined) {
      return;
    }
    const { stream, queue } = this.facts;
    const reason = wrapHostError(error, `${stream.label}: the connection was lost`, stream.label);
    const lost = new LostConnection(reason);
    this.#lost = lost;
    stream.destroy(reason);
    queue.clear();
    this.#outbox.clear();
    this.onLost?.(reason);
    const pending = [...this.#requests.values(), ...this.#early.clear()];
    this.#requests.clear();
    for (const request of pending) {
      request.reject(lost);
    }
  }
}
