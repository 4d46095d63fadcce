import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Conditions of a package's exports that hold for a module that is imported, in no order: the package has one. */
const conditions = ["node", "import", "module-sync", "default"];

/**
 * The file that `import` in a module in `directory` would load for a specifier; directories with a `package.json` are taken for that package.
 *
 * @param specifier - a path (absolute, or from `./` or `../` on), a `file:` URL, or the name of a package with or without a path in it
 * @returns `undefined` when there is none
 */
export function resolvePlugin(specifier: string, directory: string): string | undefined {
  if (specifier.startsWith("file:")) {
    return URL.canParse(specifier) ? pathEntry(fileURLToPath(specifier)) : undefined;
  }
  if (isAbsolute(specifier) || /^\.{1,2}(?:[/\\]|$)/.test(specifier)) {
    return pathEntry(resolve(directory, specifier));
  }
  const [, name, subpath = ""] = /^((?:@[^/]+\/)?[^/@.][^/]*)(\/.+)?$/.exec(specifier) ?? [];
  return name === undefined ? undefined : installedEntry(name, `.${subpath}`, directory);
}

function pathEntry(path: string): string | undefined {
  switch (kindOf(path)) {
    case "file":
      return path;
    case "directory":
      return packageEntry(path, ".");
    case undefined:
      return undefined;
  }
}

function installedEntry(name: string, subpath: string, from: string): string | undefined {
  for (let directory = from; ; directory = dirname(directory)) {
    const found = join(directory, "node_modules", name);
    if (kindOf(found) === "directory") {
      return packageEntry(found, subpath);
    }
    if (dirname(directory) === directory) {
      return undefined;
    }
  }
}

/** @param subpath - `"."`, or `"./path"` */
function packageEntry(directory: string, subpath: string): string | undefined {
  const { exports, main } = manifestOf(directory);
  const target =
    exports === undefined
      ? subpath === "."
        ? (main ?? "index.js")
        : subpath
      : exportTarget(hasSubpaths(exports) ? exports[subpath] : subpath === "." ? exports : undefined);
  const path = typeof target === "string" ? join(directory, target) : undefined;
  return path !== undefined && kindOf(path) === "file" ? path : undefined;
}

function hasSubpaths(exports: unknown): exports is Readonly<Record<string, unknown>> {
  return isRecord(exports) && Object.keys(exports).some((key) => key.startsWith("."));
}

/** What a value in `exports` leads to: the first condition that holds. */
function exportTarget(value: unknown): string | undefined {
  if (typeof value === "string") {
    return value;
  }
  const choices = Array.isArray(value)
    ? (value as unknown[])
    : isRecord(value)
      ? Object.entries(value).flatMap(([key, each]) => (conditions.includes(key) ? [each] : []))
      : [];
  return choices.map(exportTarget).find((target) => target !== undefined);
}

function manifestOf(directory: string): Readonly<Record<string, unknown>> {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return isRecord(manifest) ? manifest : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(path: string): "file" | "directory" | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() === true ? "file" : stats?.isDirectory() === true ? "directory" : undefined;
}
