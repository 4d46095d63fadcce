// What the other programs of the family take over from this one: how words on a command line are read, images named and opened, plug-ins loaded, and
// failures told.
export type { OptionDefinition } from "./arguments/option-definition.ts";
export { parseArguments } from "./arguments/parse-arguments.ts";
export type { ParsedArguments } from "./arguments/parsed-arguments.ts";
export { UsageError } from "./arguments/usage-error.ts";
export { CommandError } from "./errors/command-error.ts";
export { openFailure } from "./errors/open-failure.ts";
export { InternalErrors } from "./errors/internal-errors.ts";
export { describeImgError, reportError } from "./errors/report-error.ts";
export { optionsHelp } from "./help/help-text.ts";
export { imageSpec, type SpecifiedImage } from "./images/open-named.ts";
export { requireWritable } from "./images/require-writable.ts";
export { loadPlugins } from "./plugins/load-plugins.ts";
export { Terminal } from "./terminal.ts";
export { parseCacheMode, type CacheMode } from "./values/cache-mode.ts";
export { parseKeyValues } from "./values/key-values.ts";
export { integerIn } from "./values/number-in.ts";
export { requireSize } from "./values/parse-size.ts";
export { parseSnapshotOption, type SnapshotOption } from "./values/snapshot-option.ts";
export { version } from "./version.ts";
