import { pathToFileURL } from "node:url";
import type { AnyFormat, ImgPlugin, StorageOpener } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";
import { ownFormats } from "./format-names.ts";
import { noPlugins, type Plugins } from "./plugins.ts";
import { resolvePlugin } from "./resolve-plugin.ts";

/** Protocols with a meaning of their own in names of images. */
const ownSchemes = ["file", "host_device", "json"];

/**
 * Loads the modules that `--plugin` names.
 *
 * @param specifiers - paths, `file:` URLs or names of packages, seen from the working directory
 * @throws CommandError for one that isn't there, can't be loaded or isn't a plug-in, and for names that are taken
 */
export async function loadPlugins(specifiers: readonly string[]): Promise<Plugins> {
  let plugins = noPlugins;
  for (const specifier of new Set(specifiers)) {
    plugins = join(plugins, pluginIn(await load(specifier), specifier), specifier);
  }
  return plugins;
}

async function load(specifier: string): Promise<Readonly<Record<string, unknown>>> {
  const path = resolvePlugin(specifier, process.cwd());
  if (path === undefined) {
    throw new CommandError(`--plugin ${specifier}: no such module`, {
      hint: "expected a path that begins with ./ or /, or the name of a package that is installed here",
    });
  }
  try {
    const { importModule } = await import("./import-module.ts");
    return await importModule(pathToFileURL(path).href);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`--plugin ${specifier}: can't be loaded: ${reason}`, { cause });
  }
}

/** What a module exports as {@link ImgPlugin}: by name, or in its default export. */
function pluginIn(module: Readonly<Record<string, unknown>>, specifier: string): Required<ImgPlugin> {
  const { default: inDefault } = module;
  const exported = [module, ...(isRecord(inDefault) ? [inDefault] : [])];
  const formats = exported.map((each) => each["formats"]).find((value) => value !== undefined);
  const storages = exported.map((each) => each["storages"]).find((value) => value !== undefined);
  if (formats === undefined && storages === undefined) {
    throw new CommandError(`--plugin ${specifier}: exports neither formats nor storages`);
  }
  if (formats !== undefined && !(Array.isArray(formats) && formats.every(isFormat))) {
    throw new CommandError(`--plugin ${specifier}: formats: expected an array of formats made by defineFormat`);
  }
  if (storages !== undefined && !(isRecord(storages) && Object.values(storages).every(isOpener))) {
    throw new CommandError(`--plugin ${specifier}: storages: expected openers by scheme`);
  }
  return { formats: formats ?? [], storages: (storages ?? {}) as Readonly<Record<string, StorageOpener>> };
}

function join(before: Plugins, { formats, storages }: Required<ImgPlugin>, specifier: string): Plugins {
  const names = new Set([...ownFormats, ...before.formats.flatMap(namesOf)]);
  for (const name of formats.flatMap(namesOf)) {
    if (names.has(name)) {
      throw new CommandError(`--plugin ${specifier}: there is a format '${name}' already`);
    }
    names.add(name);
  }
  for (const scheme of Object.keys(storages)) {
    if (!/^[a-z][a-z0-9+.-]+$/.test(scheme)) {
      throw new CommandError(
        `--plugin ${specifier}: '${scheme}' is no scheme: expected a letter and one or more of a-z, 0-9, +, - and .`,
      );
    }
    if (ownSchemes.includes(scheme) || Object.hasOwn(before.storages, scheme)) {
      throw new CommandError(`--plugin ${specifier}: there is a protocol '${scheme}' already`);
    }
  }
  return { formats: [...before.formats, ...formats], storages: { ...before.storages, ...storages } };
}

function namesOf({ name, aliases }: AnyFormat): readonly string[] {
  return [name, ...aliases];
}

function isFormat(value: unknown): value is AnyFormat {
  return (
    isRecord(value) &&
    typeof value["name"] === "string" &&
    Array.isArray(value["aliases"]) &&
    typeof value["probeLength"] === "number" &&
    ["probe", "openIo", "createIo"].every((method) => typeof value[method] === "function")
  );
}

function isOpener(value: unknown): value is StorageOpener {
  return isRecord(value) && typeof value["open"] === "function" && typeof value["canonical"] === "function";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
