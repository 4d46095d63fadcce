import { MemoryStorage } from "@img/format-core";
import { SeededRandom } from "../random/seeded-random.ts";
import { applyOperation, applyTorn } from "./apply-operation.ts";
import { cloneMemory } from "./clone-memory.ts";
import type { RecordedOperation } from "./recorded-operation.ts";

/** One operation, and when it was in flight. */
export interface RecordedEntry {
  readonly operation: RecordedOperation;
  /** Number of the storage, counted from 0 in the order in which they joined the recording. */
  readonly storage: number;
  /** The moment when it was asked for. Moments count from 0; no two things happen at the same one. */
  readonly begun: number;
  /** The moment when it was done; `undefined`: never, or it failed. */
  ended: number | undefined;
}

/** What a power cut may leave behind. */
export interface CrashState {
  /** What each storage holds then, in the order of {@link RecordedEntry.storage}. */
  readonly storages: readonly MemoryStorage[];
  /** What was {@link Recording.mark}ed before the cut. */
  readonly marks: readonly unknown[];
  /** For messages: the moment, and which of the states of that moment. */
  readonly description: string;
}

/** Options of {@link Recording.states}. */
export interface CrashOptions {
  /** Decides which subsets and tears. Default 1. */
  readonly seed?: number;
  /** Torn states at each moment, beside the one in which everything was written. Default 2. */
  readonly subsets?: number;
}

/**
 * Everything that one or more storages were told, on one time line, and the states in which a power cut would leave them.
 *
 * What was done before a `sync` began is there for sure once that `sync` is done. Of everything else that was asked for before the cut, any part
 * may be there, in units of 512-byte sectors, except that later writes to the same place win.
 */
export class Recording {
  readonly #initial: MemoryStorage[] = [];
  readonly #entries: RecordedEntry[] = [];
  readonly #marks: { readonly moment: number; readonly value: unknown }[] = [];
  #now = 0;

  /** Everything recorded, in the order of asking. */
  get entries(): readonly RecordedEntry[] {
    return this.#entries;
  }

  /** Notes that something happened (say, that a write was acknowledged), so that states tell whether it was before the cut. */
  mark(value: unknown): void {
    this.#marks.push({ moment: this.#now++, value });
  }

  /**
   * Adds a storage that holds `initial` now. For `RecordingStorage`.
   * @returns its number
   */
  join(initial: MemoryStorage): number {
    return this.#initial.push(initial) - 1;
  }

  /** Notes that an operation is asked for. For `RecordingStorage`; call {@link end} with the answer once it is done. */
  begin(storage: number, operation: RecordedOperation): RecordedEntry {
    const entry: RecordedEntry = { operation, storage, begun: this.#now++, ended: undefined };
    this.#entries.push(entry);
    return entry;
  }

  /** Notes that an operation is done. */
  end(entry: RecordedEntry): void {
    entry.ended = this.#now++;
  }

  /**
   * The states that a power cut may leave, at every moment: first the one in which all that was done is there (a prefix of the recording), then
   * torn ones. Ordered by moment. Each has memory of its own.
   */
  *states(options: CrashOptions = {}): Generator<CrashState, void, undefined> {
    const random = new SeededRandom(options.seed ?? 1);
    const durable = this.#initial.map(cloneMemory);
    const begun = new Map(this.#entries.map((entry) => [entry.begun, entry]));
    const ended = new Map(this.#entries.map((entry) => [entry.ended, entry]));
    let pending: RecordedEntry[] = [];
    for (let moment = 0; moment <= this.#now; moment++) {
      pending = settle(durable, pending, begun.get(moment - 1), ended.get(moment - 1));
      const marks = this.#marks.filter((mark) => mark.moment < moment).map((mark) => mark.value);
      const prefix = durable.map(cloneMemory);
      for (const entry of pending.filter((each) => each.ended !== undefined && each.ended < moment)) {
        applyOperation(at(prefix, entry.storage), entry.operation);
      }
      yield { storages: prefix, marks, description: `power cut at moment ${String(moment)}, everything written` };
      // torn states differ from those of the moment before only when there is something new to tear
      const subsets = begun.has(moment - 1) ? (options.subsets ?? 2) : 0;
      for (let count = 0; count < subsets; count++) {
        const torn = durable.map(cloneMemory);
        for (const entry of pending) {
          applyTorn(at(torn, entry.storage), entry.operation, random);
        }
        const description = `power cut at moment ${String(moment)}, torn state ${String(count)}`;
        yield { storages: torn, marks, description };
      }
    }
  }
}

/** Moves on by a moment: takes up what began in it, and makes durable what a sync that ended in it covers. */
function settle(
  durable: readonly MemoryStorage[],
  pending: readonly RecordedEntry[],
  begun: RecordedEntry | undefined,
  ended: RecordedEntry | undefined,
): RecordedEntry[] {
  const open = begun === undefined ? [...pending] : [...pending, begun];
  if (ended?.operation.kind !== "sync") {
    return open;
  }
  const isCovered = (entry: RecordedEntry): boolean =>
    entry.storage === ended.storage && entry.ended !== undefined && entry.ended < ended.begun;
  for (const entry of open.filter(isCovered)) {
    applyOperation(at(durable, entry.storage), entry.operation);
  }
  return open.filter((entry) => !isCovered(entry) && entry !== ended);
}

function at(storages: readonly MemoryStorage[], index: number): MemoryStorage {
  const storage = storages[index];
  if (storage === undefined) {
    throw new RangeError(`storage ${String(index)}: expected one of ${String(storages.length)}`);
  }
  return storage;
}
