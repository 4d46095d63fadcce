import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const packages = new URL("../../../packages", import.meta.url).pathname;

/** An entry of one of our packages that has to run in browsers. */
export interface PureEntry {
  /** As it is imported. */
  readonly name: string;
  /** Its source. */
  readonly source: string;
  /** What is published of it. */
  readonly built: string;
}

interface SourceSettings {
  readonly extends: string;
}

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

/** Every entry of every published package, but those for Node: packages that are all Node's, and entries called so. */
export function pureEntries(): readonly PureEntry[] {
  return readdirSync(packages)
    .map((directory) => join(packages, directory))
    .filter((directory) => existsSync(join(directory, "package.json")))
    .flatMap((directory) => {
      // what the compiler lets its sources know of
      const settings = readJson(directory, "tsconfig.src.json") as SourceSettings;
      return settings.extends.endsWith("/pure.json") ? entriesOf(directory) : [];
    });
}

function readJson(directory: string, name: string): unknown {
  return JSON.parse(readFileSync(join(directory, name), "utf8"));
}

function entriesOf(directory: string): PureEntry[] {
  const { name, exports } = readJson(directory, "package.json") as Manifest;
  return Object.entries(exports).flatMap(([path, file]) => {
    if (typeof file === "string" || path.startsWith("./node")) return [];
    const { "@img/source": source = "", default: built = "" } = file;
    return [{ name: `${name}${path.slice(1)}`, source: join(directory, source), built: join(directory, built) }];
  });
}
