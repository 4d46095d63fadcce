import { ImgError } from "@img/format-core";
import { startWorkerThread } from "#worker";
import type { BridgeAnswer, BridgeCall, BridgeReply } from "./bridge-call.ts";
import type { PortableError } from "./portable-error.ts";
import { SharedControl } from "./shared-control.ts";
import { Slots } from "./slots.ts";
import { unpackError } from "./unpack-error.ts";
import type { ModuleLocation, WorkerThread } from "./worker-thread.ts";

/** How a worker is started and asked. */
export interface BridgeLinkOptions {
  /** Bytes that one request moves at most; longer ones go in several. A multiple of 4096. Default 1 MiB. There are five such buffers. */
  readonly bufferSize?: number;
  /** Milliseconds that a call may take before the worker is given up. Default `Infinity`. */
  readonly timeout?: number;
  /** Where the module that the worker runs is, for programs that are bundled. Default: beside the module that is running. */
  readonly workerEntry?: ModuleLocation;
}

/** What timers can do, in milliseconds. */
const longestTimeout = 2 ** 31 - 1;

/** Milliseconds that a worker may take to start while its owner is blocked; most need some 50. */
const longestStart = 60_000;

/** The slot of the caller that is blocked. */
const syncSlot = 0;
/** Calls that move bytes at once; further ones wait. */
const asyncSlots = 4;

interface PendingCall {
  readonly call: BridgeCall;
  readonly resolve: (answer: BridgeAnswer) => void;
  readonly reject: (error: unknown) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Why there are no answers any more. */
interface LinkEnd {
  readonly code: string;
  readonly message: string;
  readonly cause?: unknown;
}

/** The caller's end of a bridge: a worker, and the memory that both share. Ends when nobody uses it any more. */
export class BridgeLink {
  readonly #control = SharedControl.allocate();
  readonly #slots: Slots;
  readonly #free: number[] = Array.from({ length: asyncSlots }, (_, index) => index + 1);
  readonly #waiting: ((slot: number) => void)[] = [];
  readonly #pending = new Map<number, PendingCall>();
  readonly #timeout: number;
  readonly #thread: WorkerThread;
  #lastId = 0;
  /** Messages that came from the worker, counted as it counts them. */
  #replies = 0;
  #users = 1;
  #end: LinkEnd | undefined;

  /**
   * Starts the worker. The caller is its first user.
   * @throws RangeError for options out of range; ImgError `ERR_IMG_UNSUPPORTED` where there is no shared memory
   */
  constructor(options: BridgeLinkOptions) {
    const { bufferSize = 1024 * 1024, timeout = Infinity, workerEntry } = options;
    if (!Number.isSafeInteger(bufferSize) || bufferSize < 4096 || bufferSize % 4096 !== 0) {
      throw new RangeError(`bufferSize ${String(bufferSize)}: expected a multiple of 4096`);
    }
    if (!(timeout > 0 && (timeout <= longestTimeout || timeout === Infinity))) {
      throw new RangeError(
        `timeout ${String(timeout)}: expected 1 to ${String(longestTimeout)} milliseconds, or Infinity`,
      );
    }
    this.#slots = Slots.allocate(1 + asyncSlots, bufferSize);
    this.#timeout = timeout;
    this.#thread = startWorkerThread(
      { control: this.#control.memory, slots: this.#slots.memory, slotSize: bufferSize },
      {
        onReply: (reply) => this.#settle(reply),
        onEnd: (reason) => this.#fail({ code: "EIO", ...describeEnd(reason) }),
      },
      workerEntry,
    );
  }

  /** Bytes that one call moves at most. */
  get slotSize(): number {
    return this.#slots.size;
  }

  /** One more user; each has to {@link release} it. */
  retain(): void {
    this.#users++;
  }

  /** One user less; after the last one, the worker ends. */
  async release(): Promise<void> {
    if (--this.#users === 0) {
      const ended = this.#thread.stop();
      this.#fail({ code: "ERR_IMG_CLOSED", message: "is closed" });
      await ended;
    }
  }

  /** Asks the worker. @throws what the worker says; `subject` is who asks, for other errors */
  call(call: BridgeCall, subject: string): Promise<BridgeAnswer> {
    return new Promise<BridgeAnswer>((resolve, reject) => {
      this.#checkAlive(subject);
      const id = ++this.#lastId;
      this.#thread.post({ id, call });
      const pending: PendingCall = {
        call,
        resolve,
        reject: (end) => reject(toError(end as LinkEnd, subject)),
        timer: undefined,
      };
      this.#pending.set(id, pending);
      this.#watch(pending, this.#timeout);
      this.#thread.hold(true);
    }).then(result);
  }

  /** {@link call} that blocks until the worker has answered. */
  callSync(call: BridgeCall, subject: string): BridgeAnswer {
    this.#checkAlive(subject);
    // why it doesn't start would be told to our event loop, which doesn't turn meanwhile
    if (!this.#control.waitForStart(Math.min(this.#timeout, longestStart))) {
      this.#fail({ code: "ETIMEDOUT", message: "waits for a worker that doesn't start" });
      throw this.#toError(subject);
    }
    this.#control.begin();
    this.#thread.post({ id: 0, call });
    const outcome = this.#control.wait(this.#timeout);
    if (outcome === "answered") {
      return result(this.#control.takeAnswer());
    }
    this.#fail(outcome === "ended" ? { code: "EIO", ...describeEnd(this.#control.reason) } : this.#late(call));
    throw this.#toError(subject);
  }

  /** Lends a slot for a call that doesn't block. */
  async withSlot<T>(use: (slot: number, bytes: Uint8Array) => Promise<T>): Promise<T> {
    const slot = this.#free.pop() ?? (await new Promise<number>((resolve) => this.#waiting.push(resolve)));
    try {
      return await use(slot, this.#slots.view(slot, this.slotSize));
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#free.push(slot);
      } else {
        next(slot);
      }
    }
  }

  /** The slot for a call that blocks. */
  get syncSlot(): { readonly slot: number; readonly bytes: Uint8Array } {
    return { slot: syncSlot, bytes: this.#slots.view(syncSlot, this.slotSize) };
  }

  /** @param sent - how many messages the worker had sent when the call was late; the answer is among them, or comes too late */
  #watch(pending: PendingCall, delay: number, sent?: number): void {
    if (delay === Infinity) {
      return;
    }
    pending.timer = setTimeout(() => {
      const expected = sent ?? this.#control.replies;
      // timers go off before messages are looked at that came while our thread was busy
      if (((expected - this.#replies) | 0) > 0) {
        this.#watch(pending, 1, expected);
      } else {
        this.#fail(this.#late(pending.call));
      }
    }, delay);
  }

  #settle({ id, answer }: BridgeReply): void {
    this.#replies = (this.#replies + 1) | 0;
    const pending = this.#pending.get(id);
    if (pending !== undefined) {
      this.#forget(id, pending);
      pending.resolve(answer);
    }
  }

  #forget(id: number, { timer }: PendingCall): void {
    this.#pending.delete(id);
    if (timer !== undefined) {
      clearTimeout(timer);
    }
    if (this.#pending.size === 0) {
      this.#thread.hold(false);
    }
  }

  /** No more answers: for nobody who waits, and for nobody who asks later. The first reason stays. */
  #fail(end: LinkEnd): void {
    if (this.#end !== undefined) {
      return;
    }
    this.#end = end;
    for (const [id, pending] of [...this.#pending]) {
      this.#forget(id, pending);
      pending.reject(end);
    }
    // what it does when nobody listens any more would come as a surprise
    void this.#thread.stop();
  }

  #late(call: BridgeCall): LinkEnd {
    const message = `did not answer ${call.method} within ${String(this.#timeout)} ms, so its worker was ended`;
    return { code: "ETIMEDOUT", message };
  }

  #checkAlive(subject: string): void {
    if (this.#end === undefined && this.#control.hasEnded) {
      this.#fail({ code: "EIO", ...describeEnd(this.#control.reason) });
    }
    if (this.#end !== undefined) {
      throw this.#toError(subject);
    }
  }

  #toError(subject: string): ImgError {
    return toError(this.#end ?? { code: "ERR_IMG_CLOSED", message: "is closed" }, subject);
  }
}

function describeEnd(reason: PortableError): Pick<LinkEnd, "message" | "cause"> {
  return { message: `has lost the worker that runs it: ${reason.message}`, cause: unpackError(reason) };
}

function toError({ code, message, cause }: LinkEnd, subject: string): ImgError {
  return new ImgError(code, `${subject} ${message}`, { subject, ...(cause === undefined ? {} : { cause }) });
}

function result(answer: BridgeAnswer): BridgeAnswer {
  if (answer.error !== undefined) {
    throw unpackError(answer.error);
  }
  return answer;
}
