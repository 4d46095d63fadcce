import { CHANGESETS, readChangesets } from "./changesets.ts";
import { git } from "./git.ts";
import { packageOfReport, REPORTS } from "./interface-reports.ts";
import { changedSince, knownReports, recordingBefore } from "./report-history.ts";
import { lastRelease } from "./last-release.ts";

/** A package of which nobody has said that its interface has changed. */
export interface UnsaidChange {
  readonly name: string;
  /** The commit that it is compared with, `undefined` if there was no such interface. */
  readonly since: string | undefined;
}

/**
 * The packages whose recorded interface has changed, though no changeset that was added or changed since then names them. A release uses changesets up, so
 * what was before doesn't count. For an interface that is recorded for the first time, any changeset will do.
 *
 * @param base the commit to compare what is in the working tree with; default: for each interface the one that recorded it before
 */
export function packagesWithoutChangeset(root: string, base?: string): UnsaidChange[] {
  const reports = base === undefined ? knownReports(root) : changedSince(root, base, REPORTS);
  const unsaid = new Map<string, UnsaidChange>();
  for (const report of reports) {
    const name = packageOfReport(report);
    if (name === undefined) continue;
    const since = later(root, base ?? recordingBefore(root, report), lastRelease(root, name));
    if (since !== "now" && !isSaid(root, name, report, since)) unsaid.set(name, { name, since });
  }
  return [...unsaid.values()];
}

function isSaid(root: string, name: string, report: string, since: string | undefined): boolean {
  const naming = readChangesets(root).filter(({ packages }) => packages.includes(name));
  if (since === undefined || !hasFile(root, since, report)) return naming.length > 0;
  if (changedSince(root, since, report).length === 0) return true;
  const recent = changedSince(root, since, CHANGESETS);
  return naming.some(({ file }) => recent.includes(file));
}

/** The one of two commits that comes after the other; the first one if neither does. */
function later(root: string, one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined || other === "now") return other ?? one;
  return git(root, "merge-base", "--is-ancestor", one, other) === undefined ? one : other;
}

function hasFile(root: string, commit: string, file: string): boolean {
  return git(root, "cat-file", "-e", `${commit}:./${file}`) !== undefined;
}
