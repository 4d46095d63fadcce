import type { CreateOption } from "./create-option-table.ts";

/** What can be changed of a qcow2 image, sorted by name. */
export const amendOptionTable: readonly CreateOption[] = [
  { name: "backing_file", type: "str", help: "File name of a base image" },
  { name: "backing_fmt", type: "str", help: "Image format of the base image" },
  { name: "compat", type: "str", help: "Compatibility level (v2 [0.10] or v3 [1.1])" },
  { name: "data_file", type: "str", help: "File name of an external data file" },
  { name: "data_file_raw", type: "bool", help: "The external data file must stay valid as a raw image" },
  { name: "encrypt.iter-time", type: "number", help: "Time to spend in PBKDF in milliseconds" },
  { name: "encrypt.keyslot", type: "number", help: "Select a single keyslot to modify explicitly" },
  {
    name: "encrypt.new-secret",
    type: "str",
    help: "New secret to set in the matching keyslots. Empty string to erase",
  },
  { name: "encrypt.old-secret", type: "str", help: "Select all keyslots that match this password" },
  { name: "encrypt.state", type: "str", help: "Select new state of affected keyslots (active/inactive)" },
  { name: "lazy_refcounts", type: "bool", help: "Postpone refcount updates" },
  { name: "refcount_bits", type: "number", help: "Width of a reference count entry in bits" },
  { name: "size", type: "size", help: "Virtual disk size" },
];

/** What `-o help` prints. */
export function amendOptionHelp(format: string): string {
  const typeNames = { size: "size", number: "num", bool: "bool (on/off)", str: "str" } as const;
  const lines = amendOptionTable.map(
    ({ name, type, help }) => `${`  ${name}=<${typeNames[type]}>`.padEnd(24)} - ${help}\n`,
  );
  return `Amend options for '${format}':\n${lines.join("")}`;
}
