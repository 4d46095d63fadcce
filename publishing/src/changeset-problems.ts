import { CHANGESETS } from "./changesets.ts";
import { comparisonBase } from "./comparison-base.ts";
import { REPORTS } from "./interface-reports.ts";
import { packagesWithoutChangeset } from "./packages-without-changeset.ts";

/**
 * What is wrong with the recorded interfaces in view of an earlier commit: a difference needs a changeset that names the package. Without a history
 * there is nothing to compare with, and nothing wrong.
 *
 * @param named the commit; default: where the branch left `main`, or on `main` the commit before
 * @throws Error when the named commit isn't there
 */
export function changesetProblems(root: string, named?: string): string[] {
  const base = comparisonBase(root, [REPORTS, CHANGESETS], named);
  if (base === undefined) return [];
  return packagesWithoutChangeset(root, base).map(
    (name) =>
      `the interface of ${name} has changed since ${base.slice(0, 10)}, and no changeset says so; run npm run changeset`,
  );
}
