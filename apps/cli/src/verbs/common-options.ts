import type { OptionDefinition } from "../arguments/option-definition.ts";

// Options that several verbs have, worded once.

export const format: OptionDefinition = {
  long: "format",
  short: "f",
  value: "fmt",
  help: "format of the image (raw, qcow2); guessed from its contents unless given",
};
export const imageOpts: OptionDefinition = {
  long: "image-opts",
  help: "names are options: driver=qcow2,file.filename=a.qcow2",
};
export const output: OptionDefinition = {
  long: "output",
  value: "ofmt",
  help: "human (default) or json",
};
export const forceShare: OptionDefinition = {
  long: "force-share",
  short: "U",
  help: "read although somebody else has the image open for writing",
};
export const isolated: OptionDefinition = {
  long: "isolated",
  help: "open nothing that an image names: no backing image, no data file",
};
export const progress: OptionDefinition = {
  short: "p",
  help: "print progress the way qemu-img does, terminal or not",
};
export const quiet: OptionDefinition = { short: "q", help: "print nothing but errors" };
export const sourceCache: OptionDefinition = {
  short: "T",
  value: "src_cache",
  help: "none, directsync: read past the host's cache; writeback (default), writethrough, unsafe",
};
export const snapshot: OptionDefinition = {
  short: "l",
  value: "snapshot_param",
  help: "look at a snapshot: its id or name, or snapshot.id=ID,snapshot.name=NAME",
};
export const spillLimit: OptionDefinition = {
  long: "spill-limit",
  value: "size",
  help: "most bytes of standard input (-) to put aside in TMPDIR (default 4G)",
};
export const object: OptionDefinition = {
  long: "object",
  value: "objectdef",
  help: "a secret: secret,id=ID,data=TEXT or file=NAME; encrypted images can't be read yet",
};
/** Before the verb of `qemu-img`, and among the options of `qemu-io`. */
export const trace: OptionDefinition = {
  long: "trace",
  short: "T",
  value: "spec",
  help: "[[enable=]pattern][,events=file][,file=file]: understood; there is nothing to trace",
};
/** Every verb has it, and it may stand before the verb as well. */
export const plugin: OptionDefinition = {
  long: "plugin",
  value: "module",
  unabbreviated: true,
  help: "load formats and storages: a path from ./ or /, or a package; can be repeated",
};
export const help: OptionDefinition = { long: "help", short: "h", help: "print this help" };
