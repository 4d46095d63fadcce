import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What is read of a `package.json`. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly publishConfig?: { readonly exports?: Readonly<Record<string, unknown>> };
  readonly files?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** One way into a package. */
export interface Entry {
  /** What is imported: `@img/operations/node`. */
  readonly specifier: string;
  /** Its built declarations, relative to the package. */
  readonly types: string;
}

/** A package of the workspace that is published. */
export interface PublishedPackage {
  readonly name: string;
  /** Relative to the root, with `/`. */
  readonly directory: string;
  /** Absolute. */
  readonly path: string;
  /** With the exports that it is published with, which may be fewer than those for the workspace. */
  readonly manifest: Manifest;
  /** Those with types, so none for a command line. */
  readonly entries: readonly Entry[];
}

/** The packages below `packages` and `apps` that aren't private, by their directories. */
export function publishedPackages(root: string): PublishedPackage[] {
  return ["packages", "apps"]
    .filter((parent) => existsSync(join(root, parent)))
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((directory) => existsSync(join(root, directory, "package.json")))
    .map((directory) => {
      const path = join(root, directory);
      const manifest = withPublishedExports(JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Manifest);
      return { name: manifest.name, directory, path, manifest, entries: entriesOf(manifest) };
    })
    .filter(({ manifest }) => manifest.private !== true)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function withPublishedExports(manifest: Manifest): Manifest {
  const exports = manifest.publishConfig?.exports;
  return exports === undefined ? manifest : { ...manifest, exports };
}

function entriesOf({ name, exports }: Manifest): Entry[] {
  return Object.entries(exports ?? {}).flatMap(([path, target]) => {
    const types = typesIn(target);
    return types === undefined ? [] : [{ specifier: `${name}${path.slice(1)}`, types }];
  });
}

/** Conditions may be nested, and the one for our own sources has types only there. */
function typesIn(target: unknown): string | undefined {
  if (typeof target !== "object" || target === null) return undefined;
  for (const [condition, value] of Object.entries(target)) {
    if (condition === "@img/source") continue;
    const types = condition === "types" && typeof value === "string" ? value : typesIn(value);
    if (types !== undefined) return types;
  }
  return undefined;
}
