/** How much is measured. Each has all cases of those before it. */
export type Profile = "quick" | "default" | "full";

const order: readonly Profile[] = ["quick", "default", "full"];

/** Whether a case that `smallest` has is measured in `profile`. */
export function isPartOf(smallest: Profile, profile: Profile): boolean {
  return order.indexOf(smallest) <= order.indexOf(profile);
}

/** What a profile measures with, where nothing else is asked for. */
export interface ProfileSettings {
  /** Size of the disks, MiB. */
  readonly size: number;
  /** Runs of each side, at least. */
  readonly rounds: number;
  /** Seconds that the runs of one case take together, at least, unless there are five times as many as asked for. */
  readonly seconds: number;
}

/** What each profile measures with. */
export const profileSettings: Readonly<Record<Profile, ProfileSettings>> = {
  quick: { size: 384, rounds: 3, seconds: 1 },
  default: { size: 384, rounds: 3, seconds: 0.5 },
  full: { size: 1024, rounds: 5, seconds: 3 },
};
