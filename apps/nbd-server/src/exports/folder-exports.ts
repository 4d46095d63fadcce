import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CommandError } from "@img/cli";
import type { FolderPlan } from "./export-plan.ts";
import { longestFileName, matchesPattern } from "./file-pattern.ts";
import type { OfferedExport } from "./offered-export.ts";
import { SharedExport } from "./shared-export.ts";

/** The images in a directory as exports, by the names of their files. Looked for when clients ask, so that those that come later are there, too. */
export class FolderExports {
  readonly plan: FolderPlan;
  readonly #open: (name: string, path: string) => Promise<OfferedExport>;
  readonly #exports = new Map<string, SharedExport>();

  /** @throws CommandError when the pattern is longer than a name can be */
  constructor(plan: FolderPlan, open: (name: string, path: string) => Promise<OfferedExport>) {
    if (plan.pattern.length > longestFileName) {
      throw new CommandError(`pattern '${plan.pattern.slice(0, 80)}…' too long`);
    }
    this.plan = plan;
    this.#open = open;
  }

  /** The names of all files that are exports, sorted. */
  async names(): Promise<readonly string[]> {
    const entries = await readdir(this.plan.directory);
    const found: string[] = [];
    for (const name of entries.sort()) {
      if ((await this.#find(name)) !== undefined) {
        found.push(name);
      }
    }
    return found;
  }

  /** The export of that name; `undefined`: there is no such file, or it isn't one of the pattern's. */
  async find(name: string): Promise<SharedExport | undefined> {
    const path = await this.#find(name);
    if (path === undefined) {
      return this.#exports.get(name)?.inUse === true ? this.#exports.get(name) : undefined;
    }
    let found = this.#exports.get(name);
    if (found === undefined) {
      found = new SharedExport(() => this.#open(name, path));
      this.#exports.set(name, found);
    }
    return found;
  }

  /** The path of the file that a client means: one of those in the directory itself, whatever the name tries. */
  async #find(name: string): Promise<string | undefined> {
    if (!isFileName(name) || !matchesPattern(this.plan.pattern, name)) {
      return undefined;
    }
    const path = join(this.plan.directory, name);
    try {
      const real = await realpath(path);
      const isInside = dirname(real) === (await realpath(this.plan.directory));
      return isInside && (await stat(real)).isFile() ? path : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Whether a name, which a stranger may have chosen, can be that of a file that is shown. */
function isFileName(name: string): boolean {
  return name.length <= longestFileName && !name.startsWith(".") && !/[/\\\0]/.test(name);
}
