import { statSync } from "node:fs";

/** An option that an image can be created with (`-o`). */
export interface CreateOption {
  readonly name: string;
  readonly type: "size" | "number" | "bool" | "str";
  readonly help: string;
  /** The file's rather than the format's. */
  readonly ofFile?: true;
}

/** What every format of a plug-in can be created with. */
const pluginFormatOptions: readonly CreateOption[] = [
  {
    name: "preallocation",
    type: "str",
    help: "Preallocation mode (allowed values: off, metadata, falloc, full)",
  },
  { name: "size", type: "size", help: "Virtual disk size" },
];

/** By format, in alphabetical order as qemu-img lists them. */
const createOptionTable: Readonly<Record<string, readonly CreateOption[]>> = {
  qcow2: [
    { name: "backing_file", type: "str", help: "File name of a base image" },
    { name: "backing_fmt", type: "str", help: "Image format of the base image" },
    { name: "cluster_size", type: "size", help: "qcow2 cluster size" },
    { name: "compat", type: "str", help: "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { name: "compression_type", type: "str", help: "Compression method used for image cluster compression" },
    { name: "data_file", type: "str", help: "File name of an external data file" },
    { name: "data_file_raw", type: "bool", help: "The external data file must stay valid as a raw image" },
    { name: "encrypt.cipher-alg", type: "str", help: "Name of encryption cipher algorithm" },
    { name: "encrypt.cipher-mode", type: "str", help: "Name of encryption cipher mode" },
    { name: "encrypt.format", type: "str", help: "Encrypt the image, format choices: 'aes', 'luks'" },
    { name: "encrypt.hash-alg", type: "str", help: "Name of encryption hash algorithm" },
    { name: "encrypt.iter-time", type: "number", help: "Time to spend in PBKDF in milliseconds" },
    { name: "encrypt.ivgen-alg", type: "str", help: "Name of IV generator algorithm" },
    { name: "encrypt.ivgen-hash-alg", type: "str", help: "Name of IV generator hash algorithm" },
    { name: "encrypt.key-secret", type: "str", help: "ID of secret providing qcow AES key or LUKS passphrase" },
    {
      name: "encryption",
      type: "bool",
      help: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
    },
    { name: "extended_l2", type: "bool", help: "Extended L2 tables" },
    { name: "extent_size_hint", type: "size", help: "Extent size hint for the image file, 0 to disable", ofFile: true },
    { name: "lazy_refcounts", type: "bool", help: "Postpone refcount updates" },
    { name: "nocow", type: "bool", help: "Turn off copy-on-write (valid only on btrfs)", ofFile: true },
    { name: "preallocation", type: "str", help: "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { name: "refcount_bits", type: "number", help: "Width of a reference count entry in bits" },
    { name: "size", type: "size", help: "Virtual disk size" },
  ],
  raw: [
    { name: "extent_size_hint", type: "size", help: "Extent size hint for the image file, 0 to disable", ofFile: true },
    { name: "nocow", type: "bool", help: "Turn off copy-on-write (valid only on btrfs)", ofFile: true },
    {
      name: "preallocation",
      type: "str",
      help: "Preallocation mode (allowed values: off, falloc, full)",
      ofFile: true,
    },
    { name: "size", type: "size", help: "Virtual disk size" },
  ],
};

/** The options that an image of `format` can be created with. Which formats there are has been checked before. */
export function createOptionsOf(format: string): readonly CreateOption[] {
  return createOptionTable[format] ?? pluginFormatOptions;
}

/**
 * What `-o help` prints.
 *
 * @param format - which formats there are has been checked before
 * @param target - the file that the command names; without one, what depends on where the image lies is left out
 */
export function createOptionHelp(format: string, target: string | undefined): string {
  const typeNames = { size: "size", number: "num", bool: "bool (on/off)", str: "str" } as const;
  const isFile = target !== undefined && !isDevice(target);
  const lines = createOptionsOf(format)
    .filter(({ ofFile }) => isFile || ofFile !== true)
    .map(({ name, type, help }) => {
      const left = `  ${name}=<${typeNames[type]}>`;
      return `${left.padEnd(24)} - ${help}\n`;
    });
  return target === undefined
    ? `Supported ${format} options:\n${lines.join("")}\n` +
        "The protocol level may support further options.\n" +
        "Specify the target filename to include those options.\n"
    : `Supported options:\n${lines.join("")}`;
}

function isDevice(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isBlockDevice() === true || stat?.isCharacterDevice() === true;
}
