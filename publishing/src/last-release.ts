import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { git, gitLines } from "./git.ts";

/**
 * The commit of a package's last release, which is the last one that changed its log.
 *
 * @returns a commit's hash, `"now"` if a release isn't committed yet, or `undefined` if there was none
 */
export function lastRelease(root: string, name: string): string | undefined {
  const logs = gitLines(root, "ls-files", "--cached", "--others", "--exclude-standard", "--", "*CHANGELOG.md");
  const log = logs.find((file) => hasRelease(join(root, file), name));
  if (log === undefined) return undefined;
  if (git(root, "status", "--porcelain", "--", log) !== "") return "now";
  return git(root, "log", "--format=%H", "--max-count=1", "--", log);
}

/** Each release has a heading of the second level, below the name. */
function hasRelease(file: string, name: string): boolean {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.startsWith(`# ${name}\n`) && text.includes("\n## ");
}
