import type { Profile } from "./profile.ts";
import { spreadOf, type Spread } from "./spread.ts";

/** One run of one program. */
export interface Sample {
  /** Seconds on the clock. */
  readonly wall: number;
  /** Seconds of all processors, where it is known. */
  readonly cpu?: number;
  /** Most memory that was resident, in MiB, where it is known. */
  readonly memory?: number;
}

/**
 * Runs one side once.
 * @param warmUp - the run fills the caches, and its time isn't counted: what would change the time may be measured now
 */
export type Run = (warmUp: boolean) => Sample | Promise<Sample>;

/** Both sides of a comparison. Each may be run any number of times. */
export interface Sides {
  readonly ours: Run;
  readonly theirs: Run;
}

/** A program with nothing of ours that takes our side. */
interface Bare {
  /** The name of the case whose least work it does. */
  readonly of: string;
  /** What it does. */
  readonly program: string;
}

/** What is compared. */
export interface Case extends Sides {
  readonly group: string;
  readonly name: string;
  /** The smallest profile that has it. */
  readonly profile: Profile;
  /** The most that `ours ÷ theirs` should be; `undefined`: none is set. */
  readonly target?: number;
  /** In our place is the least that any such program has to do; `undefined`: it is ours. */
  readonly bare?: Bare;
  /** What both need to begin at all; its median is taken off. */
  readonly startUp?: Sides;
  /** Looks at what our first run has made. Throws if it is wrong. */
  readonly verify?: () => void;
  /** Removes what a run has made. */
  readonly after?: () => void;
}

/** How one side came out. */
interface SideResult {
  readonly wall: Spread;
  readonly cpu?: Spread;
  /** MiB, of all runs. */
  readonly memory?: Spread;
}

/** How a comparison came out. */
export interface Result {
  readonly group: string;
  readonly name: string;
  readonly target?: number;
  /** `ours` isn't ours, but this. */
  readonly bare?: Bare;
  readonly runs: number;
  readonly ours: SideResult;
  readonly theirs: SideResult;
  /** Ours ÷ theirs by the clock: of the medians; the smallest and the largest are of runs that followed each other. */
  readonly ratio: Spread;
  /** The same, by what the processors did. */
  readonly cpuRatio?: Spread;
}

/** How often to run. */
export interface Rounds {
  /** Runs of each side, at least; 0: the one that otherwise warms up, to see that it works. */
  readonly rounds: number;
  /** Seconds that all of them take, at least. */
  readonly seconds: number;
}

/** Times that are shorter can't be told from none. */
const leastTime = 1e-6;

/**
 * Runs both sides by turns, so that what else the machine does meets both, each first in half of the rounds. One run of each comes
 * before and isn't counted: it fills the caches.
 * @throws whatever a run throws, and what `verify` has to say
 */
export async function measure(what: Case, { rounds, seconds }: Rounds): Promise<Result> {
  const first = await runBoth(what, true, false);
  const [warmStart, starts]: [Pair | undefined, Pair[]] = [what.startUp && (await runSides(what.startUp, true)), []];
  const pairs: Pair[] = [];
  let spent = 0;
  while (pairs.length < rounds || (spent < seconds && pairs.length < 5 * rounds)) {
    const pair = await runBoth(what, false, pairs.length % 2 === 1);
    if (what.startUp !== undefined) {
      starts.push(await runSides(what.startUp, false));
    }
    pairs.push(pair);
    spent += pair.ours.wall + pair.theirs.wall;
  }
  const measured = pairs.length > 0 ? pairs : [first];
  const begun = warmStart === undefined ? [] : starts.length > 0 ? starts : [warmStart];
  return resultOf(what, withoutStart(measured, begun), [first, ...pairs]);
}

interface Pair {
  readonly ours: Sample;
  readonly theirs: Sample;
}

async function runBoth(what: Case, warmUp: boolean, oursFirst: boolean): Promise<Pair> {
  const run = async (side: "ours" | "theirs"): Promise<Sample> => {
    try {
      const sample = await what[side](warmUp);
      if (side === "ours" && warmUp) {
        what.verify?.();
      }
      return sample;
    } finally {
      what.after?.();
    }
  };
  if (oursFirst) {
    const ours = await run("ours");
    return { ours, theirs: await run("theirs") };
  }
  const theirs = await run("theirs");
  return { ours: await run("ours"), theirs };
}

async function runSides(sides: Sides, warmUp: boolean): Promise<Pair> {
  return { ours: await sides.ours(warmUp), theirs: await sides.theirs(warmUp) };
}

/** Takes the medians of the starts off all runs. */
function withoutStart(pairs: readonly Pair[], starts: readonly Pair[]): Pair[] {
  const less = (side: "ours" | "theirs"): ((sample: Sample) => Sample) => {
    const wall = spreadOf(starts.map((start) => start[side].wall))?.median ?? 0;
    const cpu = spreadOf(known(starts.map((start) => start[side].cpu)))?.median ?? 0;
    return (sample) => ({
      wall: Math.max(leastTime, sample.wall - wall),
      ...(sample.cpu === undefined ? {} : { cpu: Math.max(leastTime, sample.cpu - cpu) }),
    });
  };
  const [ours, theirs] = [less("ours"), less("theirs")];
  return pairs.map((pair) => ({ ours: ours(pair.ours), theirs: theirs(pair.theirs) }));
}

function resultOf(what: Case, pairs: readonly Pair[], all: readonly Pair[]): Result {
  const side = (of: "ours" | "theirs"): SideResult => {
    const cpu = spreadOf(known(pairs.map((pair) => pair[of].cpu)));
    const memory = spreadOf(known(all.map((pair) => pair[of].memory)));
    return {
      wall: spreadOf(pairs.map((pair) => pair[of].wall)) ?? { median: NaN, min: NaN, max: NaN },
      ...(cpu === undefined ? {} : { cpu }),
      ...(memory === undefined ? {} : { memory }),
    };
  };
  const [ours, theirs] = [side("ours"), side("theirs")];
  const cpuRatio = ratioOf(
    ours.cpu,
    theirs.cpu,
    pairs.map((pair) => quotient(pair.ours.cpu, pair.theirs.cpu)),
  );
  return {
    group: what.group,
    name: what.name,
    ...(what.target === undefined ? {} : { target: what.target }),
    ...(what.bare === undefined ? {} : { bare: what.bare }),
    runs: pairs.length,
    ours,
    theirs,
    ratio: ratioOf(
      ours.wall,
      theirs.wall,
      pairs.map((pair) => quotient(pair.ours.wall, pair.theirs.wall)),
    ) ?? { median: NaN, min: NaN, max: NaN },
    ...(cpuRatio === undefined ? {} : { cpuRatio }),
  };
}

function ratioOf(
  ours: Spread | undefined,
  theirs: Spread | undefined,
  each: readonly (number | undefined)[],
): Spread | undefined {
  const spread = spreadOf(known(each));
  const median = quotient(ours?.median, theirs?.median);
  return spread === undefined || median === undefined ? undefined : { ...spread, median };
}

function quotient(ours: number | undefined, theirs: number | undefined): number | undefined {
  return ours === undefined || theirs === undefined ? undefined : ours / Math.max(theirs, leastTime);
}

function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}
