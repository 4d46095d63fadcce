import { isImgError, openerForLocation, type FormatAccess } from "@img/format-core";
import { openImage, openImageSync, type ImageSpec, type OpenImageOptions } from "@img/operations/node";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import { imageSpecOf } from "./image-spec-of.ts";
import { nameImage, type NamedImage, type NameOptions } from "./image-name.ts";
import { nodeOptions } from "./nodes/node-options.ts";
import { standardInputName, type StandardInput } from "./standard-input.ts";

/** How a command opens its images, beside what their names say. */
export interface OpenNamedOptions extends Partial<Pick<ImageSpec, "snapshot" | "inspect" | "direct">> {
  /** What `-` stands for. Absent: a file of that name. */
  readonly input?: StandardInput;
  /** What is reported when the image can't be opened. Default 1. */
  readonly exitCode?: number;
}

/** A named image with everything that its opening takes. */
export interface SpecifiedImage extends NamedImage {
  readonly spec: ImageSpec;
  /** Asked for as the bare file rather than as an image. */
  readonly bare: boolean;
  /** The driver of the filter that it is asked for through, if there is one at the top. */
  readonly filter?: string | undefined;
  /** Why it isn't to be written to, if its options say so. */
  readonly unwritable?: string | undefined;
  /** Why the image below it isn't, if its options say so. */
  readonly backingUnwritable?: string | undefined;
  /** The formats to open it with. */
  readonly options: OpenImageOptions;
}

/**
 * What `name` and the options that all verbs share (`--image-opts`, `-U`, `--isolated`) ask for.
 * @param format - from `-f` or `-F`
 */
export function imageSpec(
  name: string,
  args: ParsedArguments,
  format: string | undefined,
  options: OpenNamedOptions = {},
): SpecifiedImage {
  const { exitCode, input, ...more } = options;
  const imageOpts = args.has("image-opts");
  if (imageOpts && format !== undefined) {
    throw new CommandError("--image-opts and --format are mutually exclusive", withExitCode(exitCode));
  }
  const nodes = nodeOptions(args);
  const given = nameWithExitCode(name, { format, imageOpts, plugins: args.plugins, nodes }, exitCode);
  const isInput = input !== undefined && name === standardInputName && !imageOpts;
  const named = isInput ? { ...given, spec: { ...given.spec, ...input.spec(format) } } : given;
  const spec: ImageSpec = {
    gate: nodes.gate,
    ...(args.has("force-share") ? { forceShare: true } : {}),
    ...pluginStorages(args.plugins),
    ...more,
    ...imageSpecOf(named.spec),
  };
  return {
    ...named,
    spec,
    bare: named.spec.bare === true,
    filter: named.spec.filter,
    unwritable: named.spec.unwritable,
    backingUnwritable: named.spec.backingUnwritable,
    options: pluginFormats(args.plugins),
  };
}

/**
 * Opens what {@link imageSpec} describes. The caller closes it.
 * @param signal - heard where there is something to wait for
 */
export async function openNamed(named: SpecifiedImage, signal: AbortSignal, exitCode?: number): Promise<FormatAccess> {
  const { spec, options } = named;
  try {
    // nothing else is to be done meanwhile, and blocking is faster
    return openAtOnce(named) ?? (await openImage(spec, { ...options, signal }));
  } catch (error) {
    throw openFailure(error, named, exitCode);
  }
}

/** Opens it without waiting. `undefined`: something that it consists of has to be waited for, as most of what isn't a file. */
export function openAtOnce({ spec, options }: Pick<SpecifiedImage, "spec" | "options">): FormatAccess | undefined {
  if (options.formats !== undefined || openerForLocation(spec.path, spec.storages ?? {}) !== undefined) {
    return undefined;
  }
  try {
    return openImageSync(withoutSleeping(spec));
  } catch (error) {
    if (isImgError(error, "ERR_IMG_ASYNC_ONLY")) {
      return undefined;
    }
    throw error;
  }
}

/** The thread that sleeps hears no signals. */
function withoutSleeping(spec: ImageSpec): ImageSpec {
  const { backing } = spec;
  return {
    ...spec,
    sleeps: false,
    ...(backing === undefined || backing === null ? {} : { backing: withoutSleeping(backing) }),
  };
}

function nameWithExitCode(name: string, options: NameOptions, exitCode: number | undefined): NamedImage {
  try {
    return nameImage(name, options);
  } catch (error) {
    if (error instanceof CommandError && exitCode !== undefined) {
      const { hint } = error;
      throw new CommandError(error.message, { exitCode, ...(hint === undefined ? {} : { hint }) });
    }
    throw error;
  }
}

function withExitCode(exitCode: number | undefined): { readonly exitCode?: number } {
  return exitCode === undefined ? {} : { exitCode };
}
