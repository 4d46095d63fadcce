import { spawnSync } from "node:child_process";

/** What git prints, without the space around it, or `undefined` if it isn't there or fails. */
export function git(directory: string, ...args: string[]): string | undefined {
  const run = spawnSync("git", args, { cwd: directory, encoding: "utf8", maxBuffer: 2 ** 26 });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** The lines that git prints; none if it fails. */
export function gitLines(directory: string, ...args: string[]): string[] {
  return (git(directory, ...args) ?? "").split("\n").filter((line) => line !== "");
}
