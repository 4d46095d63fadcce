import type { ImageSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import type { BlockdevOptions, OptionValue } from "./blockdev-options.ts";
import { formatNames } from "../plugins/format-names.ts";
import type { Plugins } from "../plugins/plugins.ts";
import { BlockdevReader } from "./blockdev-reader.ts";
import {
  commonOptions,
  fileDrivers,
  fileNode,
  isNbd,
  refuseLeft,
  unsupportedDriver,
  type FileNode,
  type Unwritable,
} from "./file-node.ts";
import { imageSpecOf } from "./image-spec-of.ts";
import type { BlockNode } from "./nodes/block-node.ts";
import { blockNode } from "./nodes/block-nodes.ts";
import { filterDrivers } from "./nodes/filter-drivers.ts";
import type { NodeContext } from "./nodes/node-context.ts";
import { nodeStorages } from "./nodes/node-storages.ts";

/** What options say about one image; the rest of an `ImageSpec` is up to the command. */
export type BlockdevSpec = Pick<
  ImageSpec,
  "path" | "storages" | "format" | "direct" | "forceShare" | "lock" | "rawOffset" | "rawSize" | "backing" | "dataFile"
> &
  Unwritable & {
    /** Why the image below isn't to be written to, where its options are given, in QEMU's words. */
    readonly backingUnwritable?: string;
    /** The image is asked for as the bare file. */
    readonly bare?: boolean;
    /** The driver of the filter at the top. */
    readonly filter?: string;
    /** The options that make the image more than its file, as they were given. */
    readonly shown?: Readonly<Record<string, OptionValue>>;
  };

/**
 * The image that `--image-opts` or `json:{…}` describes: a qcow2 or raw image, or one to be guessed, in a file or on a block device, with or without
 * filters.
 *
 * @param context - the plug-ins' formats are drivers too, and so are their protocols, below `file.`
 * @param format - from `-f`; stands for `driver`
 * @throws CommandError naming what isn't understood, in qemu-img's words where it has some
 */
export function blockdevSpec(options: BlockdevOptions, context: NodeContext, format?: string): BlockdevSpec {
  const { plugins } = context;
  const reader = new BlockdevReader(options);
  const described = reader.string("driver");
  const driver = format ?? described;
  if (driver !== undefined && filterDrivers.includes(driver)) {
    const node = blockNode(new Map([...options, ["driver", driver]]), surroundings(context));
    return { ...nodeSpec(node, plugins), format: "raw", filter: driver };
  }
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
  const file = protocolNode(reader.takeUnder("file."), context);
  const common = commonOptions(reader);
  const spec = {
    ...file,
    ...common,
    ...(driver === undefined ? {} : { format: driver }),
    ...layers(reader, context, common),
  };
  const rest = driver === "raw" ? rawOptions(reader) : {};
  refuseLeft(reader, (key) => `Block format '${driver ?? "raw"}' does not support the option '${key}'`);
  return { ...spec, ...rest };
}

/** What an image lies in: a file, a filter, or the disk of another image. */
function protocolNode(options: BlockdevOptions, context: NodeContext): BlockdevSpec {
  const { plugins } = context;
  const driver = options.get("driver");
  const isNode = typeof driver === "string" && [...filterDrivers, ...formatNames(plugins)].includes(driver);
  return isNode
    ? nodeSpec(blockNode(options, surroundings(context)), plugins)
    : fileNode(new BlockdevReader(options), plugins);
}

/** An image in a node. */
export function nodeSpec(node: BlockNode, { storages }: Plugins): BlockdevSpec {
  const { name, unwritable } = node;
  return {
    path: name,
    storages: { ...storages, ...nodeStorages(node) },
    ...(unwritable === undefined ? {} : { unwritable }),
  };
}

function surroundings(context: NodeContext): Parameters<typeof blockNode>[1] {
  return { ...context, describe: (options) => blockdevSpec(options, context) };
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
function layers(
  reader: BlockdevReader,
  context: NodeContext,
  { forceShare = context.forceShare }: Pick<FileNode, "forceShare">,
): Pick<BlockdevSpec, "backing" | "backingUnwritable" | "dataFile" | "unwritable"> {
  const layer: { backing?: ImageSpec | null; backingUnwritable?: string; dataFile?: string; unwritable?: string } = {};
  const none = reader.take("backing");
  if (none === null || none === "") {
    layer.backing = null;
  } else if (none !== undefined) {
    throw new CommandError(`Cannot find device='${String(none)}' nor node-name='${String(none)}'`);
  }
  if (reader.hasUnder("backing.")) {
    Object.assign(layer, givenBacking(reader.takeUnder("backing."), { ...context, forceShare }));
  }
  if (reader.hasUnder("data-file.")) {
    const options: BlockdevOptions = new Map([["driver", "file"], ...reader.takeUnder("data-file.")]);
    const driver = options.get("driver");
    if (filterDrivers.includes(String(driver))) {
      throw new CommandError(`the driver '${String(driver)}' isn't supported for data files [ERR_IMG_UNSUPPORTED]`);
    }
    const { path, unwritable } = blockdevSpec(options, context);
    layer.dataFile = path;
    if (unwritable !== undefined) {
      layer.unwritable = unwritable;
    }
  }
  return layer;
}

/** The image below, by options: it may open what the image above may, and in the same way. */
function givenBacking(
  options: BlockdevOptions,
  context: NodeContext,
): Pick<BlockdevSpec, "backing" | "backingUnwritable"> {
  const { gate, forceShare } = context;
  const own = new BlockdevReader(options);
  // images below are read-only until something is committed to them; only their files can forbid that
  own.boolean("read-only");
  const described = blockdevSpec(own.takeUnder(""), context);
  const { unwritable } = described;
  return {
    backing: { gate, ...(forceShare ? { forceShare } : {}), ...imageSpecOf(described) },
    ...(unwritable === undefined ? {} : { backingUnwritable: unwritable }),
  };
}
