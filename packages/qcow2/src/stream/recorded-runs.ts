import type { Io } from "@img/format-core";
import type { GranuleKind, GranuleRun, GranuleRuns } from "./granule-run.ts";

const kinds: readonly GranuleKind[] = ["none", "zero", "data"];

const pageLength = 65536;

/** Most bytes of a run. */
const longestRun = 8;

/** Runs in little memory: mostly a byte or two for each. */
export class RecordedRuns {
  readonly #limit: number;
  readonly #pages: Uint8Array[] = [];
  #length = 0;

  /** @param limit - bytes that the runs may take */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds a run; `false`: there is no room for more. */
  add({ kind, count }: GranuleRun): boolean {
    if (this.#length + longestRun > this.#limit) {
      return false;
    }
    // groups of seven bits, the lowest first; the top bit says that there are more
    let left = count * kinds.length + kinds.indexOf(kind);
    while (left >= 128) {
      this.#push((left % 128) + 128);
      left = Math.floor(left / 128);
    }
    this.#push(left);
    return true;
  }

  #push(byte: number): void {
    const within = this.#length++ % pageLength;
    if (within === 0) {
      this.#pages.push(new Uint8Array(Math.min(pageLength, this.#limit)));
    }
    const page = this.#pages.at(-1);
    if (page !== undefined) {
      page[within] = byte;
    }
  }

  /** All runs, from the first one on. */
  walk(): GranuleRuns {
    let at = 0;
    const byte = (): number => {
      const found = this.#pages[Math.floor(at / pageLength)]?.[at % pageLength] ?? 0;
      at++;
      return found;
    };
    return {
      next: (): Io<GranuleRun | undefined> => done(at < this.#length ? decode(byte) : undefined),
    };
  }
}

function decode(next: () => number): GranuleRun {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = next();
    value += (byte % 128) * scale;
    if (byte < 128) {
      break;
    }
    scale *= 128;
  }
  return { kind: kinds[value % kinds.length] ?? "none", count: Math.floor(value / kinds.length) };
}

function* done<T>(value: T): Io<T> {
  return value;
}
