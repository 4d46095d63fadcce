import type { ByteQueue } from "../protocol/byte-queue.ts";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { protocolError } from "../protocol/protocol-error.ts";

/** Extents of one context that a server may send for a request. */
const extentsLimit = 2 ** 20;
/** Runs that are kept of them; an answer may be shorter than the question. */
const runsLimit = 2 ** 16;
/** Contexts that one answer is about. */
const contextsLimit = 64;

interface Run {
  length: number;
  flags: number;
}

/** Collects what a server says about a range, context by context, as it comes. */
export class StatusAssembly {
  readonly #length: number;
  readonly #extended: boolean;
  readonly #runs = new Map<number, Run[]>();
  /** The chunk that is coming. */
  #current: { readonly runs: Run[]; covered: number; missing: number } | undefined;

  /** @param length - bytes that were asked about */
  constructor(length: number, extended: boolean) {
    this.#length = length;
    this.#extended = extended;
  }

  /** Extents of a context come next. @param length - bytes of the chunk @throws ImgError `EPROTO` when it can't be */
  checkLength(length: number): void {
    const count = (length - this.#headLength) / this.#entryLength;
    if (!Number.isInteger(count) || count < 1 || count > extentsLimit) {
      throw protocolError(`a block status of ${length} bytes`);
    }
  }

  /** Takes what is there of the chunk of `length` bytes. @returns whether that was all */
  fill(queue: ByteQueue, length: number): boolean {
    const current = (this.#current ??= this.#begin(queue, length));
    if (current === undefined) {
      return false;
    }
    for (; current.missing > 0 && queue.length >= this.#entryLength; current.missing--) {
      this.#take(queue, current);
    }
    if (current.missing > 0) {
      return false;
    }
    this.#current = undefined;
    return true;
  }

  /** What was said of a context, without what goes beyond the request; `undefined`: nothing. */
  extents(id: number): readonly StatusExtent[] | undefined {
    return this.#runs.get(id);
  }

  get #headLength(): number {
    return this.#extended ? 8 : 4;
  }

  get #entryLength(): number {
    return this.#extended ? 16 : 8;
  }

  #begin(queue: ByteQueue, length: number): { readonly runs: Run[]; covered: number; missing: number } | undefined {
    const view = queue.peek(this.#headLength);
    if (view === undefined) {
      return undefined;
    }
    const id = view.getUint32(queue.peekOffset);
    const missing = (length - this.#headLength) / this.#entryLength;
    if (this.#extended && view.getUint32(queue.peekOffset + 4) !== missing) {
      throw protocolError(`a block status of ${missing} extents that says it has another number of them`);
    }
    if (this.#runs.has(id)) {
      throw protocolError(`two block statuses of context ${id}`);
    }
    if (this.#runs.size === contextsLimit) {
      throw protocolError(`block statuses of more than ${contextsLimit} contexts`);
    }
    queue.skip(this.#headLength);
    const runs: Run[] = [];
    this.#runs.set(id, runs);
    return { runs, covered: 0, missing };
  }

  #take(queue: ByteQueue, current: { readonly runs: Run[]; covered: number }): void {
    const view = queue.peek(this.#entryLength);
    if (view === undefined) {
      return;
    }
    const at = queue.peekOffset;
    const uint64 = (from: number): number => view.getUint32(from) * 0x1_0000_0000 + view.getUint32(from + 4);
    const length = this.#extended ? uint64(at) : view.getUint32(at);
    const flags = this.#extended ? uint64(at + 8) : view.getUint32(at + 4);
    queue.skip(this.#entryLength);
    if (length === 0) {
      throw protocolError("an extent of 0 bytes");
    }
    const inside = Math.min(length, this.#length - current.covered);
    const last = current.runs.at(-1);
    if (inside === 0 || (current.runs.length === runsLimit && last?.flags !== flags)) {
      // nothing behind may be kept either: it would be taken for what lies here
      current.covered = this.#length;
      return;
    }
    current.covered += inside;
    if (last?.flags === flags) {
      last.length += inside;
    } else {
      current.runs.push({ length: inside, flags });
    }
  }
}
