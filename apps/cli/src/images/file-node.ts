import { openerForLocation } from "@img/format-core";
import type { ImageSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginStorages } from "../plugins/plugin-options.ts";
import type { Plugins } from "../plugins/plugins.ts";
import type { BlockdevReader } from "./blockdev-reader.ts";
import { nbdLocation } from "./nbd-location.ts";
import { filterDrivers } from "./nodes/filter-drivers.ts";

/** Files and block devices. */
export const fileDrivers: readonly string[] = ["file", "host_device"];

/** Hints for a running machine: they don't change what an image contains, so there is nothing to do about them. */
const withoutEffect = [
  "node-name",
  "auto-read-only",
  "discard",
  "detect-zeroes",
  "cache.no-flush",
  "aio",
  "aio-max-batch",
  "drop-cache",
  "x-check-cache-dropped",
  "lazy-refcounts",
  "pass-discard-request",
  "pass-discard-snapshot",
  "pass-discard-other",
  "discard-no-unref",
  "overlap-check",
  "cache-size",
  "l2-cache-size",
  "l2-cache-entry-size",
  "refcount-cache-size",
  "cache-clean-interval",
];

/** Who writes has to know that nobody else does. */
const sharedReadOnly = "force-share=on can only be used with read-only images";

/** What options say about a file. */
export type FileNode = Pick<ImageSpec, "path" | "storages" | "direct" | "forceShare" | "lock"> & Unwritable;

/** What options say against writing. */
export interface Unwritable {
  /** Why a node isn't to be written to, in QEMU's words. Absent: it may be. */
  readonly unwritable?: string;
}

/** Says which drivers there are. */
export function unsupportedDriver(driver: string, plugins: Plugins): CommandError {
  const supported = [...formatNames(plugins), ...fileDrivers, ...filterDrivers, ...Object.keys(plugins.storages)];
  return new CommandError(`the block driver '${driver}' isn't supported [ERR_IMG_UNSUPPORTED]`, {
    hint: `supported drivers: ${supported.join(", ")}`,
  });
}

/**
 * The file or device at the bottom, or what a plug-in has instead.
 * @param given - the driver, where the options don't name it
 * @throws CommandError naming what isn't understood
 */
export function fileNode(reader: BlockdevReader, plugins: Plugins, given?: string): FileNode {
  const driver = given ?? reader.string("driver") ?? "file";
  const isForeign = Object.hasOwn(plugins.storages, driver);
  if (!fileDrivers.includes(driver) && !isForeign) {
    throw unsupportedDriver(driver, plugins);
  }
  const name = isNbd(driver, plugins) ? nbdLocation(reader) : reader.string("filename");
  if (name === undefined || name === "") {
    throw new CommandError(`The '${driver}' block driver requires a file name`);
  }
  if (isForeign && driver !== "nbd" && !name.toLowerCase().startsWith(`${driver}:`)) {
    throw new CommandError(`The '${driver}' block driver requires a file name that begins with '${driver}:'`);
  }
  // a file's name is plain here, whatever it looks like
  const path = !isForeign && openerForLocation(name, plugins.storages) !== undefined ? `./${name}` : name;
  const lock = lockPolicy(reader);
  const spec = { path, ...pluginStorages(plugins), ...commonOptions(reader), ...(lock === undefined ? {} : { lock }) };
  refuseLeft(reader, (key) => `Block protocol '${driver}' doesn't support the option '${key}'`);
  return spec;
}

/** QEMU's driver for NBD, which has options of its own instead of a file name. */
export function isNbd(driver: string, { storages }: Plugins): boolean {
  return driver === "nbd" && Object.hasOwn(storages, driver);
}

function lockPolicy(reader: BlockdevReader): "on" | "off" | "auto" | undefined {
  const locking = reader.string("locking");
  switch (locking) {
    case undefined:
    case "on":
    case "off":
    case "auto":
      return locking;
    default:
      throw new CommandError(`Parameter 'locking' does not accept value '${locking}'`);
  }
}

/**
 * Takes what every node has.
 * @throws CommandError for values that make no sense, and for a writable node that others may write to as well
 */
export function commonOptions(reader: BlockdevReader): Pick<FileNode, "direct" | "forceShare" | "unwritable"> {
  for (const key of withoutEffect) {
    reader.take(key);
  }
  const direct = reader.boolean("cache.direct");
  const forceShare = reader.boolean("force-share");
  const readOnly = reader.boolean("read-only");
  if (forceShare === true && readOnly === false) {
    throw new CommandError(sharedReadOnly);
  }
  const unwritable = readOnly === true ? "Block node is read-only" : forceShare === true ? sharedReadOnly : undefined;
  return {
    ...(direct === undefined ? {} : { direct }),
    ...(forceShare === undefined ? {} : { forceShare }),
    ...(unwritable === undefined ? {} : { unwritable }),
  };
}

/** @throws CommandError for an option that nobody took */
export function refuseLeft(reader: BlockdevReader, message: (key: string) => string): void {
  const [first] = reader.left;
  if (first !== undefined) {
    throw new CommandError(message(first));
  }
}
