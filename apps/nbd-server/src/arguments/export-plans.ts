import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import {
  CommandError,
  imageSpec,
  parseKeyValues,
  parseSnapshotOption,
  requireSize,
  type ParsedArguments,
} from "@img/cli";
import type { DiskUse, ExportPlan, ExportTraits, FolderPlan } from "../exports/export-plan.ts";
import { onOff } from "./choice.ts";

/** Longest name or description, in bytes; the protocol's. */
const textLimit = 4096;

/** What is to be served. */
export interface ExportPlans {
  readonly exports: readonly ExportPlan[];
  readonly folders: readonly FolderPlan[];
}

/**
 * What the command line asks to be served: each image is an export, directories and patterns are folders.
 * @throws CommandError for what can't be, and for two exports of one name
 */
export function exportPlans(args: ParsedArguments, use: DiskUse): ExportPlans {
  const traits = traitsOf(args, use);
  const folders: FolderPlan[] = [];
  const named: ExportPlan[] = [];
  const single = args.operands.length === 1 && !args.has("export");
  for (const operand of args.operands) {
    const folder = args.has("image-opts") ? undefined : folderOf(operand);
    if (folder !== undefined) {
      folders.push({ ...traits, ...folder, imageOf: (path) => specify(path, args, args.value("format")) });
      continue;
    }
    const name = args.value("export-name") ?? (single ? "" : basename(operand));
    named.push({ ...traits, name, image: specify(operand, args, args.value("format")) });
  }
  if (args.has("export-name") && (named.length !== 1 || folders.length > 0)) {
    throw new CommandError("-x names the only image: use --export name=NAME,file=PATH for each of several");
  }
  const exports = [...named, ...args.values("export").map((text) => describedPlan(text, traits, args))];
  checkNames(exports);
  return { exports, folders };
}

function specify(path: string, args: ParsedArguments, format: string | undefined): ExportPlan["image"] {
  return imageSpec(path, args.only("image-opts", "isolated"), format);
}

function traitsOf(args: ParsedArguments, use: DiskUse): ExportTraits {
  const snapshot = args.value("load-snapshot");
  const description = args.value("description");
  return {
    readOnly: args.has("read-only"),
    scratch: args.has("snapshot"),
    ...(snapshot === undefined ? {} : { snapshot: parseSnapshotOption(snapshot) }),
    allSnapshots: args.has("all-snapshots"),
    bitmaps: args.values("bitmap"),
    allBitmaps: args.has("all-bitmaps"),
    allocationDepth: args.has("allocation-depth"),
    offset: sizeOf("offset", args.value("offset")),
    ...(description === undefined ? {} : { description: checkedText("description", description) }),
    tlsRequired: false,
    use,
  };
}

function sizeOf(what: string, text: string | undefined): number {
  return text === undefined ? 0 : requireSize(text, what);
}

/** What `--export` says: `file` and everything that isn't as for all. */
function describedPlan(text: string, traits: ExportTraits, args: ParsedArguments): ExportPlan {
  const plan: { -readonly [K in keyof ExportTraits]: ExportTraits[K] } = { ...traits };
  const bitmaps: string[] = [];
  let file: string | undefined;
  let name: string | undefined;
  let format = args.value("format");
  for (const { key, value } of parseKeyValues(text)) {
    switch (key) {
      case "file":
        file = value;
        break;
      case "name":
        name = value ?? "";
        break;
      case "format":
        format = value;
        break;
      case "description":
        plan.description = checkedText("description", value ?? "");
        break;
      case "read-only":
        plan.readOnly = onOff(key, value);
        break;
      case "scratch":
        plan.scratch = onOff(key, value);
        break;
      case "allocation-depth":
        plan.allocationDepth = onOff(key, value);
        break;
      case "tls-required":
        plan.tlsRequired = onOff(key, value);
        break;
      case "snapshot":
        plan.snapshot = value ?? "";
        break;
      case "all-snapshots":
        plan.allSnapshots = onOff(key, value);
        break;
      case "bitmap":
        bitmaps.push(value ?? "");
        break;
      case "all-bitmaps":
        plan.allBitmaps = onOff(key, value);
        break;
      case "offset":
        plan.offset = sizeOf(key, value ?? "");
        break;
      default:
        throw new CommandError(`--export: Invalid parameter '${key}'`);
    }
  }
  if (file === undefined) {
    throw new CommandError("--export: Parameter 'file' is missing");
  }
  const image = imageSpec(file, args.only("isolated"), format);
  return { ...plan, bitmaps: bitmaps.length === 0 ? plan.bitmaps : bitmaps, name: name ?? basename(file), image };
}

/** The directory and pattern that a name stands for; `undefined`: it is an image's. */
function folderOf(name: string): Pick<FolderPlan, "directory" | "pattern"> | undefined {
  const stats = statSync(name, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) {
    return { directory: name, pattern: "*" };
  }
  const pattern = basename(name);
  const directory = dirname(name);
  const isPattern = stats === undefined && /[*?]/.test(pattern) && !/^[^/]*:/.test(name);
  return isPattern && statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true
    ? { directory, pattern }
    : undefined;
}

function checkNames(exports: readonly ExportPlan[]): void {
  const seen = new Set<string>();
  for (const { name } of exports) {
    checkedText("export name", name);
    if (seen.has(name)) {
      throw new CommandError(`two exports are called '${name}'`, {
        hint: "--export name=NAME,file=PATH gives another name",
      });
    }
    seen.add(name);
  }
}

function checkedText(what: string, text: string): string {
  if (Buffer.byteLength(text) > textLimit || text.includes("\0")) {
    throw new CommandError(`${what} '${text.slice(0, 80)}${text.length > 80 ? "…" : ""}' too long`);
  }
  return text;
}
