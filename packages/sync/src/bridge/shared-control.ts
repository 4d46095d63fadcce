import type { BridgeAnswer } from "./bridge-call.ts";
import { packError, type PortableError } from "./portable-error.ts";

// 32-bit words
const stateWord = 0;
const endedWord = 1;
const answerLengthWord = 2;
const reasonLengthWord = 3;
const startedWord = 4;
// 64-bit words, behind them
const sequenceWord = 3;
const sizeWord = 4;
// a 32-bit word again, behind those
const repliesWord = 10;

const wordBytes = 64;
/** Bytes for an answer as text: room for any error, and for a list of some two thousand extents. */
const answerBytes = 128 * 1024;
const reasonBytes = 64 * 1024;

const idle = 0;
const pending = 1;
const answered = 2;

/** How a wait for an answer ended. */
export type WaitResult = "answered" | "ended" | "timed-out";

/**
 * The memory through which the worker answers a caller that is blocked, and tells that it won't answer any more. An answer that says no more than
 * _done_ is a few words; any other is text.
 *
 * One caller, who asks for one thing at a time; one worker, and whoever watches over it.
 */
export class SharedControl {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #bytes: Uint8Array;

  /** @param memory - of {@link allocate} */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, repliesWord + 1);
    this.#numbers = new Float64Array(memory, 0, 5);
    this.#bytes = new Uint8Array(memory);
  }

  /** New memory, zeroed. */
  static allocate(): SharedControl {
    return new SharedControl(new SharedArrayBuffer(wordBytes + answerBytes + reasonBytes));
  }

  /** Worker, or whoever watches over it: it runs, and will answer, or {@link end} will be called. */
  start(): void {
    Atomics.store(this.#words, startedWord, 1);
    Atomics.notify(this.#words, startedWord);
  }

  /** Caller: blocks until {@link start} was called. @returns `false`: not within `timeout` milliseconds */
  waitForStart(timeout: number): boolean {
    return Atomics.wait(this.#words, startedWord, 0, timeout) !== "timed-out" || this.#has(startedWord, 1);
  }

  /** Caller: from now on an answer is expected. Say so before asking. */
  begin(): void {
    Atomics.store(this.#words, stateWord, pending);
  }

  /** Caller: blocks until there is an answer. @param timeout - in milliseconds, `Infinity` for none */
  wait(timeout: number): WaitResult {
    // looked at after `begin`: who ends later wakes us up
    const outcome = this.hasEnded ? "not-equal" : Atomics.wait(this.#words, stateWord, pending, timeout);
    // a process that was stopped meanwhile is told that it is late, whatever has come
    if (this.#has(stateWord, answered)) {
      return "answered";
    }
    return outcome === "timed-out" && !this.hasEnded ? "timed-out" : "ended";
  }

  /** Caller: the answer that was waited for. */
  takeAnswer(): BridgeAnswer {
    const length = Atomics.load(this.#words, answerLengthWord);
    if (length > 0) {
      return parse(this.#readText(wordBytes, length)) as BridgeAnswer;
    }
    return { sequence: this.#numbers[sequenceWord] ?? 0, size: this.#numbers[sizeWord] };
  }

  /** Worker: answers the caller that is blocked. */
  answer(answer: BridgeAnswer): void {
    const isShort = answer.value === undefined && answer.error === undefined && answer.size !== undefined;
    this.#numbers[sequenceWord] = answer.sequence;
    this.#numbers[sizeWord] = answer.size ?? 0;
    const text = isShort ? undefined : this.#fit(answer);
    Atomics.store(this.#words, answerLengthWord, text === undefined ? 0 : this.#writeText(wordBytes, text));
    this.#wake(answered);
  }

  /** Worker: is about to send a message that answers a caller who isn't blocked. */
  countReply(): void {
    Atomics.add(this.#words, repliesWord, 1);
  }

  /** Messages that the worker has sent, or is about to; it counts on from 2^31 - 1 with -2^31. The other side may be too busy to have got them. */
  get replies(): number {
    return Atomics.load(this.#words, repliesWord);
  }

  /** Whoever watches over the worker, or the worker with its last breath: there are no more answers. The first reason stays. */
  end(reason: PortableError): void {
    if (Atomics.compareExchange(this.#words, endedWord, 0, 1) === 0) {
      const text = new TextEncoder().encode(JSON.stringify(reason));
      const at = wordBytes + answerBytes;
      Atomics.store(this.#words, reasonLengthWord, text.length <= reasonBytes ? this.#writeText(at, text) : 0);
      Atomics.store(this.#words, endedWord, 2);
    }
    this.#wake(idle);
  }

  /** Whether the worker has ended. */
  get hasEnded(): boolean {
    return Atomics.load(this.#words, endedWord) === 2;
  }

  /** Why it has. */
  get reason(): PortableError {
    const length = Atomics.load(this.#words, reasonLengthWord);
    return length === 0
      ? packError(new Error("for no reason that could be told"))
      : (JSON.parse(this.#readText(wordBytes + answerBytes, length)) as PortableError);
  }

  #has(word: number, value: number): boolean {
    return Atomics.load(this.#words, word) === value;
  }

  #wake(state: number): void {
    Atomics.compareExchange(this.#words, stateWord, pending, state);
    Atomics.notify(this.#words, stateWord);
  }

  /** As text that fits: of a list, as many elements as there is room for. */
  #fit(answer: BridgeAnswer): Uint8Array {
    let { value } = answer;
    for (;;) {
      const text = new TextEncoder().encode(stringify({ ...answer, value }));
      if (text.length <= answerBytes) {
        return text;
      }
      if (!Array.isArray(value)) {
        const message = `an answer of ${String(text.length)} bytes: expected at most ${String(answerBytes)}`;
        const { sequence, size } = answer;
        const error: PortableError = { kind: "img", name: "ImgError", message, details: { code: "ERR_IMG_LIMIT" } };
        return new TextEncoder().encode(stringify({ sequence, size, error }));
      }
      value = value.slice(0, Math.ceil(value.length / 2));
    }
  }

  #writeText(at: number, text: Uint8Array): number {
    this.#bytes.set(text, at);
    return text.length;
  }

  #readText(at: number, length: number): string {
    // a copy, because browsers decode no shared memory
    return new TextDecoder().decode(this.#bytes.slice(at, at + length));
  }
}

/** The key of an object that stands for a number which JSON has not. */
const numberKey = "img:number";

/** As JSON, but with numbers that aren't finite, such as the size of what nobody knows the end of; JSON would make `null` of them. */
function stringify(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "number" && !Number.isFinite(each) ? { [numberKey]: String(each) } : each,
  );
}

function parse(text: string): unknown {
  return JSON.parse(text, (_, each: unknown) =>
    typeof each === "object" && each !== null && numberKey in each ? Number(each[numberKey]) : each,
  );
}
