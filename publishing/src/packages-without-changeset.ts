import { CHANGESETS, readChangesets } from "./changesets.ts";
import { git, gitLines } from "./git.ts";
import { packageOfReport, REPORTS } from "./interface-reports.ts";

/**
 * The packages whose recorded interface isn't that of a commit, though no changeset that was added or changed since then names them. For an interface
 * that wasn't recorded at all, any changeset will do.
 *
 * @param base the commit to compare what is in the working tree with
 */
export function packagesWithoutChangeset(root: string, base: string): string[] {
  const changesets = readChangesets(root);
  const recent = changedSince(root, base, CHANGESETS);
  const lacking = changedSince(root, base, REPORTS).filter((file) => {
    const name = packageOfReport(file);
    if (name === undefined) return false;
    const isNew = git(root, "cat-file", "-e", `${base}:${file}`) === undefined;
    return !changesets.some(({ file, packages }) => packages.includes(name) && (isNew || recent.includes(file)));
  });
  return [...new Set(lacking.flatMap((file) => packageOfReport(file) ?? []))];
}

function changedSince(root: string, base: string, directory: string): string[] {
  return [
    // Renamed files count as one that is gone and one that is new.
    ...gitLines(root, "diff", "--name-only", "--no-renames", "--relative", base, "--", directory),
    ...gitLines(root, "ls-files", "--others", "--exclude-standard", "--", directory),
  ];
}
