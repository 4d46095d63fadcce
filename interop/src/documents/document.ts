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
  const patterns = ["*.md", "docs", "packages/*/README.md", "apps/*/README.md", "bench/*.md"];
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...patterns], {
    cwd: root,
    encoding: "utf8",
  });
  return listed
    .split("\n")
    .filter((path) => path.endsWith(".md") && !path.endsWith("CHANGELOG.md") && !path.startsWith(".changeset/"))
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, blocks: fencedBlocks(text) };
    });
}
