import { git, gitLines } from "./git.ts";

/** What a change is compared with when nobody says so: the names of the branch that releases are made from. */
const MAIN = ["refs/remotes/origin/main", "refs/heads/main"];

/**
 * The commit before the change that is looked at: where a branch left `main`; on `main` itself what is committed, if something that matters isn't, and
 * else the commit before the last one.
 *
 * @param paths what matters, relative to `root`
 * @param named a commit that somebody named, which is taken then
 * @returns a commit's hash, or `undefined` without a history to compare with
 * @throws Error when the named commit isn't there
 */
export function comparisonBase(root: string, paths: readonly string[], named?: string): string | undefined {
  if (named !== undefined) {
    const commit = git(root, "rev-parse", "--verify", "--quiet", `${named}^{commit}`);
    if (commit === undefined) throw new Error(`${named}: no such commit`);
    return commit;
  }
  const head = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}");
  const main = MAIN.find((ref) => git(root, "rev-parse", "--verify", "--quiet", ref) !== undefined);
  if (head === undefined || main === undefined) return undefined;
  const fork = git(root, "merge-base", "HEAD", main);
  if (fork !== head) return fork;
  const changed = gitLines(root, "status", "--porcelain", "--untracked-files=all", "--", ...paths).length > 0;
  return changed ? head : git(root, "rev-parse", "--verify", "--quiet", "HEAD^1");
}
