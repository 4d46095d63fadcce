import { git } from "./git.ts";

/** What a branch is compared with when nobody says so: the branch that releases are made from. */
const MAIN = ["refs/remotes/origin/main", "refs/heads/main"];

/**
 * The commit before the change that is looked at: where a branch left `main`.
 *
 * @param named a commit that somebody named, which is taken then
 * @returns a commit's hash, or `undefined` on `main` itself and without a history
 * @throws Error when the named commit isn't there
 */
export function comparisonBase(root: string, named?: string): string | undefined {
  if (named !== undefined) {
    const commit = git(root, "rev-parse", "--verify", "--quiet", `${named}^{commit}`);
    if (commit === undefined) throw new Error(`${named}: no such commit`);
    return commit;
  }
  const head = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}");
  const main = MAIN.find((ref) => git(root, "rev-parse", "--verify", "--quiet", ref) !== undefined);
  if (head === undefined || main === undefined) return undefined;
  const fork = git(root, "merge-base", "HEAD", main);
  return fork === head ? undefined : fork;
}
