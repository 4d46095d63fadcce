import { comparisonBase } from "./comparison-base.ts";
import { git } from "./git.ts";
import { packagesWithoutChangeset } from "./packages-without-changeset.ts";

/**
 * What is wrong with the recorded interfaces in view of the history: a difference needs a changeset that names the package. Without a history there is
 * nothing to compare with, and nothing wrong.
 *
 * @param named the commit to compare with; default: where the branch left `main`, or on `main` for each interface the commit that recorded it before
 * @throws Error when the named commit isn't there
 */
export function changesetProblems(root: string, named?: string): string[] {
  if (git(root, "rev-parse", "--verify", "--quiet", "HEAD") === undefined) return [];
  return packagesWithoutChangeset(root, comparisonBase(root, named)).map(({ name, since }) => {
    const change = since === undefined ? "is new" : `has changed since ${since.slice(0, 10)}`;
    return `the interface of ${name} ${change}, and no changeset says so; run npm run changeset`;
  });
}
