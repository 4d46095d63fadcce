import { git, gitLines } from "./git.ts";
import { REPORTS } from "./interface-reports.ts";

/** The files below `directory` that aren't what they were in a commit, relative to `root`. */
export function changedSince(root: string, commit: string, directory: string): string[] {
  return [
    // Renamed files count as one that is gone and one that is new.
    ...gitLines(root, "diff", "--name-only", "--no-renames", "--relative", commit, "--", directory),
    ...gitLines(root, "ls-files", "--others", "--exclude-standard", "--", directory),
  ];
}

/** All reports that are there, and those that were until just now. */
export function knownReports(root: string): string[] {
  const tracked = gitLines(root, "ls-files", "--cached", "--others", "--exclude-standard", "--", REPORTS);
  return [...new Set([...tracked, ...changedSince(root, "HEAD^1", REPORTS)])];
}

/**
 * The commit that recorded an interface before it was recorded as it is now.
 *
 * @returns a commit's hash, or `undefined` if this is the first time
 */
export function recordingBefore(root: string, report: string): string | undefined {
  const recordings = gitLines(root, "log", "--format=%H", "--max-count=2", "--", report);
  const isCommitted = git(root, "status", "--porcelain", "--", report) === "";
  return recordings[isCommitted ? 1 : 0];
}
