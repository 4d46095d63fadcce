import type { Run } from "../../run/measurement.ts";

/** The least that Node has to do for a case. */
export interface Limit {
  /** The name of the case. */
  readonly of: string;
  /** What the bare program does. */
  readonly program: string;
  readonly run: Run;
  /** What it makes isn't what the case makes: looks at that. Default: as the case does. */
  readonly verify?: () => void;
  /** Instead of the case, the same with what both programs need to begin taken off. */
  readonly withoutStart?: boolean;
}

/** For names of programs. */
export const inThreads = (count: number): string => (count === 1 ? "one thread" : `${String(count)} threads`);
