import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the project, absolute, wherever this was built to inside of it. */
export const root: string = rootAbove(dirname(fileURLToPath(import.meta.url)));

function rootAbove(directory: string): string {
  if (existsSync(join(directory, "pnpm-workspace.yaml"))) {
    return directory;
  }
  if (dirname(directory) === directory) {
    throw new Error("pnpm-workspace.yaml: not found in any directory above");
  }
  return rootAbove(dirname(directory));
}
