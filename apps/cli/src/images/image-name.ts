import { openerForLocation } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";
import { noPlugins, type Plugins } from "../plugins/plugins.ts";
import { parseKeyValues } from "../values/key-values.ts";
import { optionsFromJson, optionsFromKeyValues } from "./blockdev-options.ts";
import { blockdevSpec, nodeSpec, type BlockdevSpec } from "./blockdev-spec.ts";
import { hashOrdered } from "./hash-order.ts";
import { blockNode } from "./nodes/block-nodes.ts";
import { filterDrivers } from "./nodes/filter-drivers.ts";
import type { NodeContext } from "./nodes/node-context.ts";
import { protocolOptions } from "./nodes/protocol-options.ts";
import { qemuJsonLine } from "../output/qemu-json.ts";

/** An image as a command line names it. */
export interface NamedImage {
  /** As the user wrote it, for messages. */
  readonly name: string;
  /** What qemu-img calls it in its output. */
  readonly filename: string;
  readonly spec: BlockdevSpec;
}

/** How {@link nameImage} reads a name. */
export interface NameOptions {
  /** From `-f`. */
  readonly format?: string | undefined;
  /** The name is `key=value,…`. */
  readonly imageOpts?: boolean;
  /** Formats and protocols beside our own. Default: none. */
  readonly plugins?: Plugins;
  /** What is below filters. Default: nothing is opened that isn't named, and there are no throttle groups. */
  readonly nodes?: Pick<NodeContext, "groups" | "gate" | "forceShare">;
}

/** Protocols of QEMU that aren't files. A name that begins with something else and a colon is of no known kind. */
const otherProtocols =
  /^(?:blkverify|fat|ftps?|gluster(?:\+\w+)?|https?|iscsi|iser|nbd(?:\+unix|\+tcp)?|nfs|null-(?:aio|co)|nvme|rbd|replication|ssh|vxhs)$/;

/**
 * What a name on the command line stands for: a path, with or without `file:`, `json:{…}`, or, with `imageOpts`, `key=value,…`. A path with
 * a colon before its first slash is taken for a protocol, as in qemu-img: `./` makes it a path.
 *
 * @throws CommandError for what can't be understood, and for protocols that aren't supported
 */
export function nameImage(name: string, options: NameOptions = {}): NamedImage {
  const { format, plugins = noPlugins } = options;
  const context: NodeContext = {
    groups: new Map(),
    gate: "deny-all",
    forceShare: false,
    ...options.nodes,
    plugins,
    locate: (each) => plainPath(each, plugins),
  };
  try {
    if (options.imageOpts === true) {
      return described(name, blockdevSpec(optionsFromKeyValues(parseKeyValues(name)), context, format));
    }
    if (name.startsWith("json:")) {
      return described(name, blockdevSpec(optionsFromJson(name.slice("json:".length)), context, format));
    }
    const node = protocolOptions(name);
    if (node !== undefined && filterDrivers.includes(format ?? "")) {
      const spec = blockdevSpec(node, context, format);
      return { name, filename: name, spec };
    }
    if (node !== undefined) {
      const spec = nodeSpec(
        blockNode(node, { ...context, describe: (each) => blockdevSpec(each, context) }, name),
        plugins,
      );
      return { name, filename: name, spec: { ...spec, ...(format === undefined ? {} : { format }) } };
    }
    const path = plainPath(name, plugins);
    const bare = format === "file" || format === "host_device";
    const spec = { path, ...(bare ? { format: "raw", bare } : format === undefined ? {} : { format }) };
    return { name, filename: path, spec };
  } catch (error) {
    if (!(error instanceof CommandError)) {
      throw error;
    }
    const { hint } = error;
    throw new CommandError(`Could not open '${name}': ${error.message}`, hint === undefined ? {} : { hint });
  }
}

/** The path that a name without options stands for; or the name itself, if its protocol is one of the plug-ins'. */
export function plainPath(name: string, { storages }: Plugins): string {
  if (openerForLocation(name, storages) !== undefined) {
    return name;
  }
  const protocol = /^([^/:]*):/.exec(name)?.[1];
  if (protocol === undefined) {
    if (name === "") {
      throw new CommandError("The 'file' block driver requires a file name");
    }
    return name;
  }
  if (protocol === "file" || protocol === "host_device") {
    return name.slice(protocol.length + 1);
  }
  if (!otherProtocols.test(protocol)) {
    throw new CommandError(`Unknown protocol '${protocol}'`, { hint: `a file of that name is called ./${name}` });
  }
  throw new CommandError(`the protocol '${protocol}' isn't supported [ERR_IMG_UNSUPPORTED]`, {
    hint: `a file of that name is called ./${name}`,
  });
}

function described(name: string, spec: BlockdevSpec): NamedImage {
  const { path, shown = {} } = spec;
  if (Object.keys(shown).length === 0) {
    return { name, filename: path, spec };
  }
  const file = hashOrdered({ driver: "file", filename: path });
  return { name, filename: `json:${qemuJsonLine(hashOrdered({ ...shown, driver: "raw", file }))}`, spec };
}
