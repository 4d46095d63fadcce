import { isPromise, type MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { serializeHole, serializeStatus } from "../protocol/chunk-payload.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import { parseRequest, type NbdRequest } from "../protocol/request.ts";
import { parseStatusFilter } from "../protocol/status-filter.ts";
import {
  chunkTypes,
  commandFlags as flag,
  commands,
  payloadLimit,
  type NbdErrorName,
} from "../protocol/transmission-numbers.ts";
import { statusOf } from "./block-status.ts";
import { checkRange, checkRequest, payloadOf, type RequestFault } from "./check-request.ts";
import type { DataWindows } from "./data-windows.ts";
import { blockSizeOf } from "./export-features.ts";
import type { Negotiated } from "./handshake.ts";
import type { InFlight } from "./in-flight.ts";
import type { NbdExport, NbdMetaContext } from "./nbd-export.ts";
import { ReplyMaker } from "./reply-maker.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { ConnectionState } from "./server-connection.ts";
import type { ServerSettings } from "./server-options.ts";
import { sparseRuns } from "./sparse-runs.ts";
import { wireError } from "./wire-error.ts";

/** Reads from this length on ask first whether there is something to read. */
const sparseFrom = 64 * 1024;
/** So many bytes of replies are sent before more requests are begun. */
const sendFrom = 256 * 1024;
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
  readonly #export: NbdExport;
  readonly #maker: ReplyMaker;
  readonly #extended: boolean;
  readonly #allocation: NbdMetaContext | undefined;
  readonly #windows: DataWindows | undefined;
  readonly #payloadLimit: number;
  #requestCount = 0;

  constructor(parts: TransmissionParts, negotiated: Negotiated) {
    this.#parts = parts;
    this.#negotiated = negotiated;
    this.#export = negotiated.export;
    this.#maker = new ReplyMaker(parts.memory, negotiated.style);
    this.#extended = negotiated.style === "extended";
    this.#allocation = negotiated.export.contexts?.find(({ name }) => name === "base:allocation");
    this.#windows = parts.windows;
    this.#payloadLimit = Math.max(payloadLimit, payloadMaximum(negotiated.export));
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
    try {
      await this.#serve();
    } finally {
      this.#parts.writer.flush();
      await this.#parts.inFlight.idle();
      await this.#parts.writer.settled();
    }
  }

  async #serve(): Promise<void> {
    const { input } = this.#parts.state;
    for (;;) {
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
      if (this.#parts.writer.pendingBytes >= sendFrom) {
        // a client that gets its data early works while we do
        this.#parts.writer.flush();
        await this.#parts.writer.taken();
      }
    }
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
    this.#begin(request, payload === 0 ? undefined : state.input.queue.take(payload), cost);
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
      fault ??= this.#checkStopping();
    }
    let whole = false;
    try {
      whole = await (fault === undefined ? this.#gather(payload) : this.#skip(payload));
    } finally {
      if (!whole) {
        inFlight.leave(cost);
      }
    }
    if (!whole) {
      return false;
    }
    if (fault === undefined) {
      this.#begin(request, payload === 0 ? undefined : state.input.queue.take(payload), cost);
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
      if ((await input.fill()) !== "more") {
        return false;
      }
    }
    return true;
  }

  async #skip(payload: number): Promise<boolean> {
    const { input } = this.#parts.state;
    for (let rest = payload; rest > 0;) {
      const part = Math.min(rest, input.queue.length);
      input.queue.skip(part);
      rest -= part;
      if (rest > 0 && (await input.fill()) !== "more") {
        return false;
      }
    }
    return true;
  }

  #begin(request: NbdRequest, payload: Uint8Array[] | undefined, cost: number): void {
    let answer: MaybePromise<void>;
    try {
      answer = this.#execute(request, payload, cost);
    } catch (error) {
      this.#fail(request, error, cost);
      return;
    }
    if (isPromise(answer)) {
      answer
        .catch((error: unknown) => {
          this.#fail(request, error, cost);
        })
        .finally(() => {
          this.#parts.writer.schedule();
        });
    }
  }

  /** Does what is asked and answers it; fails before anything of the answer is under way. */
  #execute(request: NbdRequest, payload: Uint8Array[] | undefined, cost: number): MaybePromise<void> {
    switch (request.type) {
      case commands.read:
        return this.#read(request, cost);
      case commands.blockStatus:
        return this.#status(request, payload, cost);
      default: {
        const changed = this.#change(request, payload);
        return then(changed, () => {
          this.#send(request, this.#maker.done(request), cost);
        });
      }
    }
  }

  #change(request: NbdRequest, payload: Uint8Array[] | undefined): MaybePromise<void> {
    const exported = this.#export;
    const { flags, length, type } = request;
    if (type === commands.flush) {
      return exported.flush?.();
    }
    const answer = length === 0 ? undefined : this.#changeRange(request, payload);
    const durable = (flags & flag.fua) !== 0 && type !== commands.cache;
    return durable ? then(answer, () => exported.flush?.()) : answer;
  }

  #changeRange(request: NbdRequest, payload: Uint8Array[] | undefined): MaybePromise<void> {
    const exported = this.#export;
    const { flags, offset, length } = request;
    switch (request.type) {
      case commands.write:
        return exported.write?.(IoVector.from(payload ?? []), offset);
      case commands.writeZeroes: {
        this.#windows?.forget(offset, length);
        const options = { allocate: (flags & flag.noHole) !== 0, fast: (flags & flag.fastZero) !== 0 };
        return exported.writeZeroes?.(offset, length, options);
      }
      case commands.trim:
        this.#windows?.forget(offset, length);
        return exported.trim?.(offset, length);
      default:
        return exported.cache?.(offset, length);
    }
  }

  #read(request: NbdRequest, cost: number): MaybePromise<void> {
    const { length, flags } = request;
    if (length === 0) {
      this.#send(request, this.#maker.done(request), cost);
      return undefined;
    }
    const whole = this.#maker.style === "simple" || (flags & flag.dontFragment) !== 0;
    const context = this.#allocation;
    if (whole || length < sparseFrom || context === undefined || this.#windows === undefined) {
      return this.#readWhole(request, cost);
    }
    return then(this.#windows.isData(request.offset, length), (data) =>
      data ? this.#readWhole(request, cost) : this.#readSparse(request, context, cost),
    );
  }

  #readWhole(request: NbdRequest, cost: number): MaybePromise<void> {
    const region = this.#maker.data(request, request.offset, request.length, true);
    return then(this.#fill(region, request.offset, request.length), () => {
      this.#send(request, region, cost);
    });
  }

  /** Reads into the end of a region; gives the region back if that fails. */
  #fill(region: Region, offset: number, length: number): MaybePromise<void> {
    const release = (error: unknown): never => {
      this.#parts.memory.release(region);
      throw error;
    };
    try {
      const answer = this.#export.read(dataOf(region, length), offset);
      return isPromise(answer) ? answer.catch(release) : undefined;
    } catch (error) {
      return release(error);
    }
  }

  async #readInto(region: Region, offset: number, length: number): Promise<void> {
    await this.#export.read(dataOf(region, length), offset);
  }

  #readSparse(request: NbdRequest, context: NbdMetaContext, cost: number): MaybePromise<void> {
    const { offset, length } = request;
    return then(context.status(offset, length, false), (extents) => {
      const runs = sparseRuns(offset, length, extents);
      if (runs.length === 1 && runs[0]?.kind === "data") {
        return this.#readWhole(request, cost);
      }
      return this.#readRuns(request, runs, cost);
    });
  }

  async #readRuns(request: NbdRequest, runs: ReturnType<typeof sparseRuns>, cost: number): Promise<void> {
    const regions: Region[] = [];
    const reads: Promise<void>[] = [];
    for (const [index, { kind, offset, length }] of runs.entries()) {
      const last = index === runs.length - 1;
      if (kind === "hole") {
        const hole = serializeHole({ offset, length });
        regions.push(this.#maker.chunk(request, chunkTypes.offsetHole, hole, last));
      } else {
        const region = this.#maker.data(request, offset, length, last);
        regions.push(region);
        reads.push(this.#readInto(region, offset, length));
      }
    }
    // all of them settle before memory is given back: somebody still writes into it otherwise
    const settled = await Promise.allSettled(reads);
    for (const read of settled) {
      if (read.status === "rejected") {
        for (const region of regions) {
          this.#parts.memory.release(region);
        }
        throw read.reason as Error;
      }
    }
    this.#sendAll(request, regions, cost);
  }

  #status(request: NbdRequest, payload: Uint8Array[] | undefined, cost: number): MaybePromise<void> {
    const asked = this.#statusAsked(request, payload);
    if ("error" in asked) {
      this.#refuse(request, asked, cost);
      return undefined;
    }
    const one = (request.flags & flag.reqOne) !== 0;
    const range = { offset: request.offset, length: asked.length };
    const { byId } = asked;
    return this.#statusChunks(request, byId, range, one, cost);
  }

  async #statusChunks(
    request: NbdRequest,
    byId: ReadonlyMap<number, NbdMetaContext>,
    range: { readonly offset: number; readonly length: number },
    one: boolean,
    cost: number,
  ): Promise<void> {
    const payloads: Uint8Array[] = [];
    for (const [id, context] of byId) {
      const extents = await statusOf(context, range, one, this.#extended);
      payloads.push(serializeStatus({ id, extents }, this.#extended));
    }
    const type = this.#extended ? chunkTypes.blockStatusExtended : chunkTypes.blockStatus;
    const regions = payloads.map((bytes, index) =>
      this.#maker.chunk(request, type, bytes, index === payloads.length - 1),
    );
    this.#sendAll(request, regions, cost);
  }

  #statusAsked(
    request: NbdRequest,
    payload: Uint8Array[] | undefined,
  ): RequestFault | { readonly length: number; readonly byId: ReadonlyMap<number, NbdMetaContext> } {
    const selected = this.#negotiated.contexts?.byId;
    if (selected === undefined || selected.size === 0) {
      return { error: "EINVAL", message: "no contexts are selected" };
    }
    if ((request.flags & flag.payloadLength) === 0) {
      return { length: request.length, byId: selected };
    }
    return filterContexts(request, payload ?? [], selected, this.#negotiated);
  }

  #sendAll(request: NbdRequest, regions: readonly Region[], cost: number): void {
    const { writer } = this.#parts;
    for (const region of regions.slice(0, -1)) {
      writer.add(region);
    }
    const last = regions.at(-1);
    if (last !== undefined) {
      this.#send(request, last, cost);
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
    this.#parts.settings.observer?.failed?.(this.#parts.state.client, error);
    this.#refuse(request, faultOf(request, error), cost);
  }
}

function dataOf({ slab, end }: Region, length: number): IoVector {
  return IoVector.single(slab.memory.subarray(end - length, end));
}

/** What the client is told: not more than it needs to know about our side. */
function faultOf(request: NbdRequest, error: unknown): RequestFault {
  const fast = request.type === commands.writeZeroes && (request.flags & flag.fastZero) !== 0;
  if (fast && isUnsupported(error)) {
    return { error: "ENOTSUP", message: "zeroing this range wouldn't be faster than writing it" };
  }
  return { error: wireError(error), message: "the request failed on the server" };
}

function isUnsupported(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ERR_IMG_UNSUPPORTED";
}

function filterContexts(
  request: NbdRequest,
  payload: readonly Uint8Array[],
  selected: ReadonlyMap<number, NbdMetaContext>,
  negotiated: Negotiated,
): RequestFault | { readonly length: number; readonly byId: ReadonlyMap<number, NbdMetaContext> } {
  const bytes = new Uint8Array(IoVector.from(payload).length);
  IoVector.from(payload).copyIntoSlice(bytes);
  const invalid = (message: string): RequestFault => ({ error: "EINVAL", message });
  if (bytes.length < 12 || bytes.length % 4 !== 0 || bytes.length > 8 + 4 * selected.size) {
    return invalid(`a filter of contexts of ${bytes.length} bytes`);
  }
  const { length, ids } = parseStatusFilter(bytes);
  const byId = new Map<number, NbdMetaContext>();
  for (const id of ids) {
    const context = selected.get(id);
    if (context === undefined || byId.has(id)) {
      return invalid(`context ${id} in a filter: unknown, or there twice`);
    }
    byId.set(id, context);
  }
  return checkRange({ offset: request.offset, length, type: request.type }, negotiated, "EINVAL") ?? { length, byId };
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

/** Goes on with an answer, at once if it is there. */
function then<T>(answer: MaybePromise<T>, next: (value: T) => MaybePromise<void>): MaybePromise<void> {
  return isPromise(answer) ? answer.then(next) : next(answer);
}
