import { ImgError, isPromise, type MaybePromise } from "@img/format-core";
import { protocolError } from "../protocol/protocol-error.ts";
import { parseRequest, type NbdRequest } from "../protocol/request.ts";
import { commandFlags as flag, commands, payloadLimit, type NbdErrorName } from "../protocol/transmission-numbers.ts";
import { ReadAnswers } from "./answer-read.ts";
import { answerStatus } from "./answer-status.ts";
import { changeExport, type ChangeContext } from "./change-export.ts";
import { checkRequest, payloadOf, type RequestFault } from "./check-request.ts";
import type { DataWindows } from "./data-windows.ts";
import { blockSizeOf } from "./export-features.ts";
import type { Negotiated } from "./handshake.ts";
import type { InFlight } from "./in-flight.ts";
import type { NbdExport } from "./nbd-export.ts";
import { ReplyMaker } from "./reply-maker.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { ConnectionState } from "./server-connection.ts";
import type { ServerSettings } from "./server-options.ts";
import { goOn } from "./go-on.ts";
import { wireError } from "./wire-error.ts";

const noPayload: readonly Uint8Array[] = [];
/** So many bytes of replies are sent although more requests are there: a client that gets its data early works while we do. */
const sendFrom = 128 * 1024;
/** So many bytes of replies may wait for a client that is slower than we are: enough for it to go on while we read. */
const aheadLimit = 512 * 1024;
/** After so many bytes others get a turn, although nothing has to be waited for. */
const turnAfter = 1024 * 1024;
/** What an answer to BLOCK_STATUS may take. */
const statusCost = 256 * 1024;

/** What the transmission phase works with. */
export interface TransmissionParts {
  readonly state: ConnectionState;
  readonly settings: ServerSettings;
  readonly memory: ReplyMemory;
  readonly writer: ReplyWriter;
  readonly inFlight: InFlight;
  /** What is known of the export's `base:allocation`, if it has that. */
  readonly windows: DataWindows | undefined;
}

/** The server's side of the transmission phase: many requests at once, answers in the order in which they are ready. */
export class Transmission {
  readonly #parts: TransmissionParts;
  readonly #negotiated: Negotiated;
  readonly #maker: ReplyMaker;
  readonly #reads: ReadAnswers;
  readonly #extended: boolean;
  readonly #payloadLimit: number;
  readonly #change: ChangeContext;
  #requestCount = 0;
  /** Bytes that requests were about since others had a turn. */
  #sinceTurn = 0;
  /** Bytes of a payload that is waited for that have come. */
  #awaited: number | undefined;

  constructor(parts: TransmissionParts, negotiated: Negotiated) {
    this.#parts = parts;
    this.#negotiated = negotiated;
    this.#maker = new ReplyMaker(parts.memory, negotiated.style);
    this.#extended = negotiated.style === "extended";
    this.#reads = new ReadAnswers({ ...parts, export: negotiated.export, maker: this.#maker });
    this.#change = { windows: parts.windows, gone: parts.state.gone };
    this.#payloadLimit = Math.max(payloadLimit, payloadMaximum(negotiated.export));
  }

  /** How much of a payload has come that the client has announced; `undefined`: none is waited for. */
  get awaitedBytes(): number | undefined {
    return this.#awaited;
  }

  /** Requests that came so far. */
  get requestCount(): number {
    return this.#requestCount;
  }

  /**
   * Answers requests until the client disconnects or ends its side, or the server stops; whatever was begun is answered then.
   * @throws what makes going on impossible; what was begun is answered all the same
   */
  async run(): Promise<void> {
    const { input, client } = this.#parts.state;
    try {
      await this.#serve();
    } catch (error) {
      this.#parts.state.abandon(error);
      throw error;
    } finally {
      if (input.isEnded) {
        this.#parts.state.abandon(new ImgError("ESHUTDOWN", `${client.label}: the client has gone`));
      }
      this.#parts.writer.flush();
      await this.#parts.inFlight.idle();
      await this.#parts.writer.settled();
    }
  }

  async #serve(): Promise<void> {
    const { input } = this.#parts.state;
    // what a client has asked for before it went isn't done for nobody
    while (!this.#parts.writer.isFailed) {
      const request = parseRequest(input.queue, this.#extended);
      if (request === undefined) {
        this.#parts.writer.flush();
        const filled = input.fill();
        if ((isPromise(filled) ? await filled : filled) !== "more") {
          return;
        }
        continue;
      }
      this.#requestCount++;
      if (request.type === commands.disconnect) {
        return;
      }
      const payload = payloadOf(request, this.#negotiated);
      if (payload > this.#payloadLimit) {
        this.#refuseForGood(request, payload);
      }
      if (!this.#takeNow(request, payload) && !(await this.#takeLater(request, payload))) {
        return;
      }
      const pause = this.#pause();
      if (pause !== undefined) {
        await pause;
      }
    }
  }

  /** Sends what there is enough of, and says what is to be waited for before the next request is begun, if anything. */
  #pause(): Promise<void> | undefined {
    const { writer } = this.#parts;
    const enough = writer.pendingBytes >= sendFrom;
    if (!enough && this.#sinceTurn < turnAfter) {
      return undefined;
    }
    writer.flush();
    if (writer.untakenBytes >= aheadLimit) {
      this.#sinceTurn = 0;
      return writer.taken();
    }
    return writer.isBusy || this.#sinceTurn >= turnAfter ? this.#turn() : undefined;
  }

  /** Lets everything go on that is ready: the rest of a write, the requests of others. */
  #turn(): Promise<void> {
    const { stream } = this.#parts.state;
    this.#sinceTurn = 0;
    return stream.defer === undefined
      ? this.#parts.writer.taken()
      : new Promise((resolve) => {
          stream.defer?.(resolve);
        });
  }

  /** Begins a request if nothing has to be waited for, which saves a promise for each. */
  #takeNow(request: NbdRequest, payload: number): boolean {
    const { inFlight, state } = this.#parts;
    if (state.input.queue.length < payload || this.#check(request) !== undefined) {
      return false;
    }
    const cost = costOf(request, payload);
    if (!inFlight.tryEnter(cost)) {
      return false;
    }
    this.#sinceTurn += cost;
    this.#begin(request, payload === 0 ? noPayload : state.input.queue.take(payload), cost);
    return true;
  }

  /** Waits until a request may begin, and begins or refuses it; `false`: its payload doesn't come any more. */
  async #takeLater(request: NbdRequest, payload: number): Promise<boolean> {
    const { inFlight, state, writer } = this.#parts;
    let fault = this.#check(request);
    const cost = fault === undefined ? costOf(request, payload) : 0;
    if (!inFlight.tryEnter(cost)) {
      writer.flush();
      await inFlight.enter(cost);
      if (writer.isFailed) {
        inFlight.leave(cost);
        return false;
      }
      fault ??= this.#checkStopping();
    }
    let whole = false;
    this.#awaited = 0;
    try {
      whole = await (fault === undefined ? this.#gather(payload) : this.#skip(payload));
    } finally {
      this.#awaited = undefined;
      if (!whole) {
        inFlight.leave(cost);
      }
    }
    if (!whole) {
      return false;
    }
    if (fault === undefined) {
      this.#begin(request, payload === 0 ? noPayload : state.input.queue.take(payload), cost);
    } else {
      this.#refuse(request, fault, cost);
    }
    return true;
  }

  #check(request: NbdRequest): RequestFault | undefined {
    return this.#checkStopping() ?? checkRequest(request, this.#negotiated);
  }

  #checkStopping(): RequestFault | undefined {
    return this.#parts.state.isStopping ? { error: "ESHUTDOWN", message: "the server is shutting down" } : undefined;
  }

  /** A payload that nobody takes can't be skipped either: that would be as long as the client likes. */
  #refuseForGood(request: NbdRequest, payload: number): never {
    const message = `a payload of ${payload} bytes: at most ${this.#payloadLimit} are taken`;
    this.#parts.writer.add(this.#maker.failed(request, { error: "EINVAL", message }));
    throw protocolError(message);
  }

  /** Waits for the whole payload; `false`: it doesn't come. */
  async #gather(payload: number): Promise<boolean> {
    const { input } = this.#parts.state;
    this.#parts.writer.flush();
    while (input.queue.length < payload) {
      this.#awaited = input.queue.length;
      if ((await input.fill()) !== "more") {
        return false;
      }
    }
    return true;
  }

  async #skip(payload: number): Promise<boolean> {
    const { input } = this.#parts.state;
    this.#parts.writer.flush();
    for (let rest = payload; rest > 0;) {
      const part = Math.min(rest, input.queue.length);
      input.queue.skip(part);
      rest -= part;
      this.#awaited = payload - rest;
      if (rest > 0 && (await input.fill()) !== "more") {
        return false;
      }
    }
    return true;
  }

  #begin(request: NbdRequest, payload: readonly Uint8Array[], cost: number): void {
    let answer: MaybePromise<void> = undefined;
    try {
      answer = this.#execute(request, payload, cost);
    } catch (error) {
      this.#fail(request, error, cost);
    }
    const { input } = this.#parts.state;
    if (isPromise(answer)) {
      answer
        .catch((error: unknown) => {
          this.#fail(request, error, cost);
        })
        .finally(() => {
          input.recycle(payload);
          this.#parts.writer.schedule();
        });
    } else {
      input.recycle(payload);
    }
  }

  /** Does what is asked and answers it; fails before anything of the answer is under way. */
  #execute(request: NbdRequest, payload: readonly Uint8Array[], cost: number): MaybePromise<void> {
    switch (request.type) {
      case commands.read:
        return goOn(this.#reads.answer(request), (answer) => {
          this.#sendAll(request, answer, cost);
        });
      case commands.blockStatus:
        return answerStatus(request, payload, this.#negotiated, this.#maker).then((answer) => {
          if ("error" in answer) {
            this.#refuse(request, answer, cost);
          } else {
            this.#sendAll(request, answer, cost);
          }
        });
      default:
        return goOn(changeExport(this.#negotiated.export, request, payload, this.#change), () => {
          this.#send(request, this.#maker.done(request), cost);
        });
    }
  }

  #sendAll(request: NbdRequest, answer: Region | readonly Region[], cost: number): void {
    if ("slab" in answer) {
      this.#send(request, answer, cost);
      return;
    }
    for (const [index, region] of answer.entries()) {
      if (index < answer.length - 1) {
        this.#parts.writer.add(region);
      } else {
        this.#send(request, region, cost);
      }
    }
  }

  #send(request: NbdRequest, region: Region, cost: number, error?: NbdErrorName): void {
    const { inFlight, settings, state } = this.#parts;
    this.#parts.writer.add(region, () => {
      inFlight.leave(cost);
    });
    settings.observer?.answered?.(state.client, {
      type: request.type,
      offset: request.offset,
      length: request.length,
      error,
    });
  }

  #refuse(request: NbdRequest, fault: RequestFault, cost: number): void {
    this.#send(request, this.#maker.failed(request, fault), cost, fault.error);
  }

  #fail(request: NbdRequest, error: unknown, cost: number): void {
    if (isFastRefusal(request, error)) {
      const message = "zeroing this range wouldn't be faster than writing it";
      this.#refuse(request, { error: "ENOTSUP", message }, cost);
      return;
    }
    const { client, gone } = this.#parts.state;
    if (!gone.aborted || error !== gone.reason) {
      this.#parts.settings.observer?.failed?.(client, error);
    }
    // not more than the client needs to know about our side
    this.#refuse(request, { error: wireError(error), message: "the request failed on the server" }, cost);
  }
}

/** Whether a client has only tried if something would be fast: then nothing has failed. */
function isFastRefusal({ type, flags }: NbdRequest, error: unknown): boolean {
  return type === commands.writeZeroes && (flags & flag.fastZero) !== 0 && isUnsupported(error);
}

function isUnsupported(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ERR_IMG_UNSUPPORTED";
}

function payloadMaximum(exported: NbdExport): number {
  const { maximum } = blockSizeOf(exported);
  return maximum === 0xffff_ffff ? payloadLimit : maximum;
}

/** Bytes of ours that a request takes while it is in flight. */
function costOf(request: NbdRequest, payload: number): number {
  switch (request.type) {
    case commands.read:
      return request.length;
    case commands.blockStatus:
      return (request.flags & flag.reqOne) !== 0 ? payload : payload + statusCost;
    default:
      return payload;
  }
}
