import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeInterface } from "./describe-interface.ts";
import { publishedPackages } from "./published-package.ts";

/** Where the reports are, relative to the root. */
export const REPORTS = "api";

const SUFFIX = ".api.md";

/** The interface of one entry, as it is and as it was recorded. */
export interface InterfaceReport {
  /** Relative to the root: `api/operations.node.api.md`. */
  readonly file: string;
  /** `undefined`: the entry is gone. */
  readonly current: string | undefined;
  /** `undefined`: nothing has been recorded. */
  readonly recorded: string | undefined;
}

/** The reports of all entries of all published packages, and those that are recorded though their entry is gone. */
export function interfaceReports(root: string): InterfaceReport[] {
  const recorded = recordedFiles(root);
  const current = publishedPackages(root).flatMap((published) =>
    published.entries.map((entry) => ({
      file: reportFile(entry.specifier),
      current: describeInterface(published, entry),
    })),
  );
  const gone = recorded
    .filter((file) => !current.some((report) => report.file === file))
    .map((file) => ({ file, current: undefined }));
  return [...current, ...gone].map(({ file, current }) => ({
    file,
    current,
    recorded: recorded.includes(file) ? readFileSync(join(root, file), "utf8") : undefined,
  }));
}

/** Makes what is recorded what is. Gives back the files that were written or removed. */
export function recordInterfaces(root: string, reports: readonly InterfaceReport[]): string[] {
  const changed = reports.filter(({ current, recorded }) => current !== recorded);
  mkdirSync(join(root, REPORTS), { recursive: true });
  for (const { file, current } of changed) {
    if (current === undefined) rmSync(join(root, file));
    else writeFileSync(join(root, file), current);
  }
  return changed.map(({ file }) => file);
}

/** The report of an entry, relative to the root. A `.` can't be in the name of a package of ours, so no two entries share one. */
function reportFile(specifier: string): string {
  return `${REPORTS}/${specifier.replace("@img/", "").replaceAll("/", ".")}${SUFFIX}`;
}

/** The package that a report is about, or `undefined` if the file isn't one. */
export function packageOfReport(file: string): string | undefined {
  const name = /^api\/([^/.]+)(?:\.[^/]+)?\.api\.md$/.exec(file)?.[1];
  return name === undefined ? undefined : `@img/${name}`;
}

function recordedFiles(root: string): string[] {
  if (!existsSync(join(root, REPORTS))) return [];
  return readdirSync(join(root, REPORTS))
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => `${REPORTS}/${name}`);
}
