import { changedLines } from "./changed-lines.ts";
import { changesetProblems } from "./changeset-problems.ts";
import { interfaceReports, recordInterfaces } from "./interface-reports.ts";

/** Options of {@link checkInterfaces}. */
export interface CheckOptions {
  /** Record what is instead of comparing with it. Default `false`. */
  readonly update?: boolean;
  /** The commit to compare with. Default: where the branch left `main`, or the one before. */
  readonly base?: string | undefined;
}

/** What {@link checkInterfaces} found. */
export interface InterfaceCheck {
  /** What was done, a line each. */
  readonly notes: readonly string[];
  /** What is wrong, and what to do about it. Empty: nothing. */
  readonly problems: readonly string[];
}

/**
 * Compares the public interfaces with the recorded ones, and the recorded ones with those of an earlier commit: a difference there needs a changeset that
 * names the package.
 */
export function checkInterfaces(root: string, { update = false, base }: CheckOptions = {}): InterfaceCheck {
  const reports = interfaceReports(root);
  if (reports.length === 0) return { notes: [], problems: ["no package has an interface: nothing was compared"] };
  if (update) {
    const notes = recordInterfaces(root, reports).map((file) => `${file}: written anew`);
    return { notes: notes.length > 0 ? notes : ["no interface has changed"], problems: changesetProblems(root, base) };
  }
  const differing = reports
    .filter(({ current, recorded }) => current !== recorded)
    .map(({ file, current, recorded }) => {
      const lines = changedLines(recorded ?? "", current ?? "", 20).map((line) => `    ${line}`);
      return `${file} isn't the interface any more; if that is meant, run npm run api\n${lines.join("\n")}`;
    });
  return {
    notes: [`${reports.length} interfaces compared`],
    problems: [...differing, ...changesetProblems(root, base)],
  };
}
