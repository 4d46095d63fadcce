import type { Io } from "@img/format-core";
import type { GranuleRun, GranuleRuns } from "./granule-run.ts";
import { RecordedRuns } from "./recorded-runs.ts";
import { sourceChanged } from "./source-changed.ts";
import { SourceRuns, type GranuleRules } from "./source-runs.ts";
import type { StreamSource } from "./stream-source.ts";

/**
 * What the first walk over a source found, to be gone through again: from memory, or, where that would be too much, by asking the source again and
 * making sure that it says the same.
 */
export class PlannedRuns implements GranuleRuns {
  readonly #source: StreamSource;
  readonly #rules: GranuleRules;
  readonly #first: SourceRuns;
  #record: RecordedRuns | undefined;

  /** @param memory - bytes that may be kept */
  constructor(source: StreamSource, rules: GranuleRules, memory: number) {
    this.#source = source;
    this.#rules = rules;
    this.#first = new SourceRuns(source, rules);
    this.#record = new RecordedRuns(memory);
  }

  /** The first walk. */
  *next(): Io<GranuleRun | undefined> {
    const run = yield* this.#first.next();
    if (run !== undefined && this.#record?.add(run) === false) {
      this.#record = undefined;
    }
    return run;
  }

  /** Another walk, once the first one has ended. */
  again(): GranuleRuns {
    return this.#record?.walk() ?? this.#ask();
  }

  #ask(): GranuleRuns {
    const runs = new SourceRuns(this.#source, this.#rules);
    const expected = this.#first.digest;
    return {
      *next(): Io<GranuleRun | undefined> {
        const run = yield* runs.next();
        if (run === undefined && runs.digest !== expected) {
          throw sourceChanged();
        }
        return run;
      },
    };
  }
}
