import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where the changesets are, relative to the root. */
export const CHANGESETS = ".changeset";

/** A described change that hasn't been released. */
export interface Changeset {
  /** Relative to the root. */
  readonly file: string;
  /** The packages that it names. */
  readonly packages: readonly string[];
}

/** All changesets that are there. */
export function readChangesets(root: string): Changeset[] {
  const directory = join(root, CHANGESETS);
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith(".md") && name !== "README.md")
    .map((name) => ({
      file: `${CHANGESETS}/${name}`,
      packages: packagesIn(readFileSync(join(directory, name), "utf8")),
    }));
}

/** The names between the two `---`: one in each line, with the kind of its bump. `none` releases nothing, so it says nothing to users. */
function packagesIn(text: string): string[] {
  const head = /^---\r?\n([^]*?)^---/m.exec(text)?.[1] ?? "";
  return [...head.matchAll(/^\s*["']?([^"':\s]+)["']?\s*:\s*["']?(?:patch|minor|major)\b/gm)].map(
    ([, name]) => name ?? "",
  );
}
