import { openerForLocation } from "@img/format-core";
import type { ImageSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import type { BlockdevOptions, OptionValue } from "./blockdev-options.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginStorages } from "../plugins/plugin-options.ts";
import type { Plugins } from "../plugins/plugins.ts";
import { BlockdevReader } from "./blockdev-reader.ts";
import { nbdLocation } from "./nbd-location.ts";

/** What options say about one image; the rest of an `ImageSpec` is up to the command. */
export type BlockdevSpec = Pick<
  ImageSpec,
  "path" | "storages" | "format" | "direct" | "forceShare" | "lock" | "rawOffset" | "rawSize" | "backing" | "dataFile"
> & {
  /** The image is asked for as the bare file. */
  readonly bare?: boolean;
  /** The options that make the image more than its file, as they were given. */
  readonly shown?: Readonly<Record<string, OptionValue>>;
};

/** Files and block devices; QEMU's other protocols are refused by name. */
const fileDrivers = ["file", "host_device"];

/** Hints for a running machine: they don't change what an image contains, so there is nothing to do about them. */
const withoutEffect = [
  "node-name",
  "read-only",
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

/**
 * The image that `--image-opts` or `json:{…}` describes: a qcow2 or raw image, or one to be guessed, in a file or on a block device.
 *
 * @param plugins - their formats are drivers too, and so are their protocols, below `file.`
 * @param format - from `-f`; stands for `driver`
 * @throws CommandError naming what isn't understood, in qemu-img's words where it has some
 */
export function blockdevSpec(options: BlockdevOptions, plugins: Plugins, format?: string): BlockdevSpec {
  const reader = new BlockdevReader(options);
  const described = reader.string("driver");
  const driver = format ?? described;
  if (driver !== undefined && (fileDrivers.includes(driver) || isNbd(driver, plugins))) {
    return { ...fileNode(reader, plugins, driver), format: "raw", bare: true };
  }
  if (driver !== undefined && !formatNames(plugins).includes(driver)) {
    throw unsupportedDriver(driver, plugins);
  }
  if (!reader.hasUnder("file.")) {
    const named = reader.take("file");
    throw new CommandError(
      named === undefined
        ? driver === undefined
          ? "Must specify either driver or file"
          : 'A block device must be specified for "file"'
        : `Cannot find device='${String(named)}' nor node-name='${String(named)}'`,
    );
  }
  const file = fileNode(new BlockdevReader(reader.takeUnder("file.")), plugins);
  const spec = {
    ...file,
    ...common(reader),
    ...(driver === undefined ? {} : { format: driver }),
    ...layers(reader, plugins),
  };
  const rest = driver === "raw" ? rawOptions(reader) : {};
  refuseLeft(reader, (key) => `Block format '${driver ?? "raw"}' does not support the option '${key}'`);
  return { ...spec, ...rest };
}

function unsupportedDriver(driver: string, plugins: Plugins): CommandError {
  const supported = [...formatNames(plugins), ...fileDrivers, ...Object.keys(plugins.storages)];
  return new CommandError(`the block driver '${driver}' isn't supported [ERR_IMG_UNSUPPORTED]`, {
    hint: `supported drivers: ${supported.join(", ")}`,
  });
}

/** The file or device at the bottom, or what a plug-in has instead. */
function fileNode(reader: BlockdevReader, plugins: Plugins, given?: string): BlockdevSpec {
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
  const spec = { path, ...pluginStorages(plugins), ...common(reader), ...(lock === undefined ? {} : { lock }) };
  refuseLeft(reader, (key) => `Block protocol '${driver}' doesn't support the option '${key}'`);
  return spec;
}

/** QEMU's driver for NBD, which has options of its own instead of a file name. */
function isNbd(driver: string, { storages }: Plugins): boolean {
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

/** What every node has. */
function common(reader: BlockdevReader): Pick<BlockdevSpec, "direct" | "forceShare"> {
  for (const key of withoutEffect) {
    reader.take(key);
  }
  const direct = reader.boolean("cache.direct");
  const forceShare = reader.boolean("force-share");
  return { ...(direct === undefined ? {} : { direct }), ...(forceShare === undefined ? {} : { forceShare }) };
}

function rawOptions(reader: BlockdevReader): Pick<BlockdevSpec, "rawOffset" | "rawSize" | "shown"> {
  const shown = reader.given("offset", "size");
  const rawOffset = reader.size("offset");
  const rawSize = reader.size("size");
  return {
    shown,
    ...(rawOffset === undefined ? {} : { rawOffset }),
    ...(rawSize === undefined ? {} : { rawSize }),
  };
}

/** Backing image and data file, where they are given instead of those that the image names. */
function layers(reader: BlockdevReader, plugins: Plugins): Pick<BlockdevSpec, "backing" | "dataFile"> {
  const layer: { backing?: ImageSpec | null; dataFile?: string } = {};
  const none = reader.take("backing");
  if (none === null || none === "") {
    layer.backing = null;
  } else if (none !== undefined) {
    throw new CommandError(`Cannot find device='${String(none)}' nor node-name='${String(none)}'`);
  }
  if (reader.hasUnder("backing.")) {
    layer.backing = blockdevSpec(reader.takeUnder("backing."), plugins);
  }
  if (reader.hasUnder("data-file.")) {
    layer.dataFile = blockdevSpec(new Map([["driver", "file"], ...reader.takeUnder("data-file.")]), plugins).path;
  }
  return layer;
}

function refuseLeft(reader: BlockdevReader, message: (key: string) => string): void {
  const [first] = reader.left;
  if (first !== undefined) {
    throw new CommandError(message(first));
  }
}
