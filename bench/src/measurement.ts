/** One run of one program. */
export interface Sample {
  /** Seconds on the clock. */
  readonly wall: number;
  /** Seconds of all processors, where it is known. */
  readonly cpu?: number;
  /** Most memory that was resident, in MiB, where it is known. */
  readonly memory?: number;
}

/** What is compared. Each side may be run any number of times. */
export interface Case {
  readonly name: string;
  /** The most that `ours ÷ theirs` should be; `undefined`: none is set. */
  readonly target?: number;
  readonly ours: () => Sample | Promise<Sample>;
  readonly theirs: () => Sample | Promise<Sample>;
}

/** Medians of both sides. */
export interface Result {
  readonly name: string;
  readonly target: number | undefined;
  readonly ours: Sample;
  readonly theirs: Sample;
  /** Ours ÷ theirs, by the clock. */
  readonly ratio: number;
  /** The same, by what the processors did. */
  readonly cpuRatio: number | undefined;
}

/**
 * Runs both sides by turns, so that what else the machine does meets both, and takes the medians. One run of each comes first and
 * isn't counted: it fills the caches.
 */
export async function measure(what: Case, rounds: number): Promise<Result> {
  const ours: Sample[] = [];
  const theirs: Sample[] = [];
  for (let round = 0; round <= rounds; round++) {
    const [their, our] = [await what.theirs(), await what.ours()];
    if (round > 0) {
      theirs.push(their);
      ours.push(our);
    }
  }
  const our = medians(ours);
  const their = medians(theirs);
  return {
    name: what.name,
    target: what.target,
    ours: our,
    theirs: their,
    ratio: our.wall / their.wall,
    cpuRatio: our.cpu === undefined || their.cpu === undefined ? undefined : our.cpu / Math.max(their.cpu, 0.01),
  };
}

function medians(samples: readonly Sample[]): Sample {
  const cpu = median(samples.map((sample) => sample.cpu));
  const memory = median(samples.map((sample) => sample.memory));
  return {
    wall: median(samples.map((sample) => sample.wall)) ?? NaN,
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
  };
}

/** The median of those that are known; `undefined` when none is. */
function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  const lower = sorted[Math.ceil(middle) - 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}
