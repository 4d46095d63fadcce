import { CommandError } from "../errors/command-error.ts";

/** What a cache mode means for a file. */
export interface CacheMode {
  /** Past the host's page cache. */
  readonly direct: boolean;
  /** What was written is made durable before the command ends. */
  readonly sync: boolean;
}

const modes: Readonly<Record<string, CacheMode>> = {
  none: { direct: true, sync: true },
  off: { direct: true, sync: true },
  directsync: { direct: true, sync: true },
  writethrough: { direct: false, sync: true },
  writeback: { direct: false, sync: true },
  unsafe: { direct: false, sync: false },
};

/**
 * The cache mode of that name.
 * @param what - `"cache"` or `"source cache"`, for the error
 * @throws CommandError with `exitCode`
 */
export function parseCacheMode(name: string, what: string, exitCode = 1): CacheMode {
  const mode = Object.hasOwn(modes, name) ? modes[name] : undefined;
  if (mode === undefined) {
    throw new CommandError(`Invalid ${what} option: ${name}`, { exitCode });
  }
  return mode;
}
