import {
  closeAfterFailure,
  ImgError,
  NullStorage,
  openerForLocation,
  perform,
  type FormatAccess,
  type Io,
  type Storage,
} from "@img/format-core";
import {
  Breakpoints,
  CompressingStorage,
  CopyOnReadStorage,
  DebugRules,
  DebugStorage,
  DelayedStorage,
  FixedStorage,
  ImageStorage,
  LimitedStorage,
  ThrottledStorage,
  type LimitedStorageOptions,
} from "@img/operations";
import { openImageIo } from "@img/operations/node";
import { FileStorage } from "@img/storage-fs";
import { CommandError } from "../../errors/command-error.ts";
import { formatNames } from "../../plugins/format-names.ts";
import { pluginFormats } from "../../plugins/plugin-options.ts";
import type { BlockdevOptions } from "../blockdev-options.ts";
import { BlockdevReader } from "../blockdev-reader.ts";
import { commonOptions, fileNode, refuseLeft, type FileNode, type Unwritable } from "../file-node.ts";
import { imageSpecOf } from "../image-spec-of.ts";
import { blkdebugOptions } from "./blkdebug-options.ts";
import type { BlockNode } from "./block-node.ts";
import { filterDrivers } from "./filter-drivers.ts";
import { nodeName } from "./node-name.ts";
import type { NodeSurroundings } from "./node-context.ts";
import { groupOf, takeLimits } from "./throttle-groups.ts";

/** A node without its name. */
type NamelessNode = Omit<BlockNode, "name">;

const nullSize = 2 ** 30;

/**
 * The node that options describe: a filter, a file, or an image whose disk is what the node gives.
 * @param name - what to call it. Default: after its options
 * @throws CommandError naming what isn't understood, in QEMU's words where it has some
 */
export function blockNode(options: BlockdevOptions, surroundings: NodeSurroundings, name?: string): BlockNode {
  return { ...namelessNode(options, surroundings), name: name ?? nodeName(options) };
}

function namelessNode(options: BlockdevOptions, surroundings: NodeSurroundings): NamelessNode {
  const reader = new BlockdevReader(options);
  const driver = reader.string("driver") ?? "file";
  if (!filterDrivers.includes(driver)) {
    return formatNames(surroundings.plugins).includes(driver)
      ? diskOpener(options, surroundings, (image) => new ImageStorage(image))
      : fileOpener(fileNode(reader, surroundings.plugins, driver), surroundings);
  }
  const { forceShare = surroundings.forceShare, unwritable } = commonOptions(reader);
  const node = filterOpeners[driver]?.(reader, { ...surroundings, forceShare }) ?? unknown(driver);
  refuseLeft(reader, (key) => `Block protocol '${driver}' doesn't support the option '${key}'`);
  return unwritable === undefined ? node : { ...node, unwritable };
}

type FilterOpener = (reader: BlockdevReader, surroundings: NodeSurroundings) => NamelessNode;

const filterOpeners: Readonly<Record<string, FilterOpener>> = {
  blkdebug: debugOpener,
  "null-co": nullOpener,
  "null-aio": nullOpener,
  compress: compressOpener,
  "copy-on-read": copyOnReadOpener,
  throttle: throttleOpener,
};

function unknown(driver: string): never {
  throw new CommandError(`Unknown driver '${driver}'`);
}

function debugOpener(reader: BlockdevReader, surroundings: NodeSurroundings): NamelessNode {
  const { rules, limits } = blkdebugOptions(reader);
  const child = namelessNode(takeImage(reader, surroundings), surroundings);
  return decorated(child, (inner) => {
    const debug = new DebugStorage(inner, { rules: new DebugRules(rules), breakpoints: new Breakpoints() });
    return isLimiting(limits) ? new LimitedStorage(debug, limits) : debug;
  });
}

/** What is below, by options or by a name. */
function takeImage(reader: BlockdevReader, surroundings: NodeSurroundings): BlockdevOptions {
  const name = reader.string("x-image");
  if (name === undefined) {
    return takeChild(reader, "image");
  }
  const options = reader.takeUnder("image.");
  const key = formatNames(surroundings.plugins).includes(String(options.get("driver"))) ? "file.filename" : "filename";
  return new Map([[key, surroundings.locate(name)], ...options]);
}

function isLimiting({ limits = {}, ...most }: LimitedStorageOptions): boolean {
  return Object.keys(limits).length + Object.keys(most).length > 0;
}

function nullOpener(reader: BlockdevReader): NamelessNode {
  const size = reader.size("size") ?? nullSize;
  const latency = (reader.size("latency-ns") ?? 0) / 1e6;
  // what isn't zero in QEMU is whatever was in memory
  reader.boolean("read-zeroes");
  reader.take("filename");
  return {
    *open() {
      const storage = new FixedStorage(new NullStorage(size));
      return latency === 0 ? storage : new DelayedStorage(storage, latency);
    },
  };
}

function throttleOpener(reader: BlockdevReader, surroundings: NodeSurroundings): NamelessNode {
  const name = reader.string("throttle-group");
  const own = reader.hasUnder("limits.") ? groupOf(takeLimits(reader, "limits.")) : undefined;
  if (name === undefined && own === undefined) {
    throw new CommandError("Parameter 'throttle-group' is missing");
  }
  const group = name === undefined ? own : surroundings.groups.get(name);
  if (group === undefined) {
    throw new CommandError(`Throttle group '${name ?? ""}' does not exist`);
  }
  const child = namelessNode(takeChild(reader, "file"), surroundings);
  return decorated(child, (inner) => new ThrottledStorage(inner, group));
}

function compressOpener(reader: BlockdevReader, surroundings: NodeSurroundings): NamelessNode {
  const child = takeChild(reader, "file");
  const driver = String(child.get("driver") ?? "file");
  const refuse = (): never => {
    throw new CommandError(`Compression is not supported for underlying format: ${driver}`);
  };
  if (!formatNames(surroundings.plugins).includes(driver)) {
    return refuse();
  }
  return diskOpener(child, surroundings, (image) =>
    image.driver.compressedBlockSize === undefined ? refuse() : new CompressingStorage(image),
  );
}

function copyOnReadOpener(reader: BlockdevReader, surroundings: NodeSurroundings): NamelessNode {
  if (reader.take("bottom") !== undefined) {
    throw new CommandError("the option 'bottom' of copy-on-read isn't supported [ERR_IMG_UNSUPPORTED]");
  }
  const child = takeChild(reader, "file");
  if (!formatNames(surroundings.plugins).includes(String(child.get("driver") ?? "file"))) {
    // there is nothing below a file
    return namelessNode(child, surroundings);
  }
  return diskOpener(child, surroundings, (image) => new CopyOnReadStorage(image));
}

function takeChild(reader: BlockdevReader, key: string): BlockdevOptions {
  if (!reader.hasUnder(`${key}.`)) {
    const named = reader.take(key);
    throw new CommandError(
      named === undefined
        ? `A block device must be specified for "${key}"`
        : `Cannot find device='${String(named)}' nor node-name='${String(named)}'`,
    );
  }
  return reader.takeUnder(`${key}.`);
}

/** Opens what lies below, and puts `decorate`'s storage before it. */
function decorated(node: NamelessNode, decorate: (inner: Storage) => Storage): NamelessNode {
  return {
    ...node,
    *open(options) {
      const inner = yield* node.open(options);
      try {
        return decorate(inner);
      } catch (error) {
        yield* closeAfterFailure(inner);
        throw error instanceof RangeError ? new ImgError("EINVAL", error.message) : error;
      }
    },
  };
}

function fileOpener(spec: FileNode, surroundings: NodeSurroundings): NamelessNode {
  const { path, storages = {}, direct = false, lock } = spec;
  const forceShare = surroundings.forceShare || spec.forceShare === true;
  const foreign = openerForLocation(path, storages);
  const open = ({ writable }: { readonly writable: boolean }): Io<Storage> => {
    if (foreign !== undefined) {
      return foreign.open(path, { writable });
    }
    const options = {
      writable,
      direct,
      forceShare,
      blocking: "always",
      sleeps: false,
      ...(lock === undefined ? {} : { lock }),
    } as const;
    return perform<Storage>({
      label: path,
      async: (signal) => FileStorage.open(path, { ...options, signal }),
      sync: () => FileStorage.openSync(path, options),
    });
  };
  return { open, ...unwritableOf(spec) };
}

function unwritableOf({ unwritable }: Unwritable): Unwritable {
  return unwritable === undefined ? {} : { unwritable };
}

/** Opens an image, for its disk. */
function diskOpener(
  options: BlockdevOptions,
  surroundings: NodeSurroundings,
  show: (image: FormatAccess) => Storage,
): NamelessNode {
  const described = surroundings.describe(options);
  const spec = imageSpecOf(described);
  const { gate, forceShare, plugins } = surroundings;
  const shared = forceShare ? { forceShare } : {};
  return {
    ...unwritableOf(described),
    *open({ writable }) {
      const image = yield* openImageIo({ gate, ...shared, ...spec, writable }, pluginFormats(plugins));
      try {
        return show(image);
      } catch (error) {
        yield* image.io.close();
        throw error;
      }
    },
  };
}
