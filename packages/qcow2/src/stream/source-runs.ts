import type { Io } from "@img/format-core";
import type { GranuleKind, GranuleRun, GranuleRuns } from "./granule-run.ts";
import type { StreamSource } from "./stream-source.ts";

/** How extents become granules. */
export interface GranuleRules {
  /** Bytes of a granule. */
  readonly granule: number;
  /** There is a backing image, so that zeroes have to be told from what was never allocated. */
  readonly backed: boolean;
  /** Entries can say "zero". */
  readonly hasZeroFlag: boolean;
}

/**
 * Goes over a source once and turns its extents into runs of whole granules: one that is of several kinds is data.
 *
 * Also keeps a digest of what it said, with which two walks can be compared.
 */
export class SourceRuns implements GranuleRuns {
  readonly #source: StreamSource;
  readonly #rules: GranuleRules;
  #at = 0;
  #open: GranuleRun | undefined;
  #digest = 0x811c_9dc5;

  constructor(source: StreamSource, rules: GranuleRules) {
    this.#source = source;
    this.#rules = rules;
  }

  /** Depends on every run so far. */
  get digest(): number {
    return this.#digest;
  }

  *next(): Io<GranuleRun | undefined> {
    let open = this.#open;
    while (this.#at < this.#source.size) {
      const run = yield* this.#look();
      this.#at += run.count * this.#rules.granule;
      if (open === undefined || open.kind === run.kind) {
        open = { kind: run.kind, count: (open?.count ?? 0) + run.count };
      } else {
        this.#open = run;
        return this.#tell(open);
      }
    }
    this.#open = undefined;
    return open === undefined ? undefined : this.#tell(open);
  }

  #tell(run: GranuleRun): GranuleRun {
    // FNV-1a, by 32-bit words
    for (const word of [kinds.indexOf(run.kind), Math.floor(run.count / 0x1_0000_0000), run.count >>> 0]) {
      this.#digest = Math.imul(this.#digest ^ word, 0x0100_0193) >>> 0;
    }
    return run;
  }

  /** What begins at `#at`, where a granule does. */
  *#look(): Io<GranuleRun> {
    const { granule } = this.#rules;
    const { size } = this.#source;
    const start = this.#at;
    const { kind, length } = yield* this.#extent(start, size);
    const end = start + length;
    if (kind === "data" || end === size) {
      return { kind, count: Math.ceil(length / granule) };
    }
    const whole = Math.floor(length / granule);
    if (whole > 0) {
      return { kind, count: whole };
    }
    const stop = Math.min(start + granule, size);
    for (let at = end; at < stop;) {
      const next = yield* this.#extent(at, stop);
      if (next.kind !== kind) {
        return { kind: "data", count: 1 };
      }
      at += next.length;
    }
    return { kind, count: 1 };
  }

  *#extent(start: number, end: number): Io<{ readonly kind: GranuleKind; readonly length: number }> {
    const { kind, length } = yield* this.#source.extentAt(start, end - start);
    if (!(length >= 1 && length <= end - start)) {
      throw new RangeError(`an extent of ${String(length)} bytes: expected 1 to ${String(end - start)}`);
    }
    return { kind: this.#kindOf(kind), length };
  }

  #kindOf(kind: "data" | "zero" | "unallocated"): GranuleKind {
    const { backed, hasZeroFlag } = this.#rules;
    if (kind === "data" || (kind === "zero" && backed && !hasZeroFlag)) {
      return "data";
    }
    return kind === "zero" && backed ? "zero" : "none";
  }
}

const kinds: readonly GranuleKind[] = ["none", "zero", "data"];
