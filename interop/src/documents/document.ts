import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fencedBlocks, type FencedBlock } from "./fenced-block.ts";

/** The root of the checkout, absolute. */
export const root: string = fileURLToPath(new URL("../../..", import.meta.url));

/** A Markdown file that the project publishes. */
export interface Document {
  /** Relative to {@link root}. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly FencedBlock[];
}

/** All documents of the project: what it says about itself, beside the change logs. */
export function loadDocuments(): Document[] {
  // `glob`: otherwise a star goes through directories, and there are files that programs write
  const patterns = ["*.md", "docs/*.md", "packages/*/README.md", "apps/*/README.md", "bench/*.md", "examples/**/*.md"];
  const globs = patterns.map((pattern) => `:(glob)${pattern}`);
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...globs], {
    cwd: root,
    encoding: "utf8",
  });
  return listed
    .split("\n")
    .filter((path) => path.endsWith(".md") && !/CHANGELOG\.md$|^\.changeset\/|^api\//.test(path))
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, blocks: fencedBlocks(text) };
    });
}
