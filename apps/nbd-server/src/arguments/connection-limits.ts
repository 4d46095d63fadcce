import { CommandError, type ParsedArguments } from "@img/cli";
import { count } from "./choice.ts";

/** How many clients there may be. */
export interface ConnectionLimits {
  /** Served at once: the others wait. `Infinity`: all are served. */
  readonly shared: number;
  /** Clients above it are dropped, at least `shared`. `Infinity`: none is. */
  readonly maximum: number;
}

/** What is let in unless something is said about it. */
const defaultMaximum = 100;

/**
 * How many clients the command line lets in. Whoever is promised to be served isn't dropped: `-e` raises the maximum, and `-e 0` (all) leaves none.
 * @throws CommandError for a maximum below what is promised
 */
export function connectionLimits(args: ParsedArguments): ConnectionLimits {
  const wanted = args.has("shared") ? count(args, "shared", 0) : undefined;
  const shared = wanted === undefined || wanted === 0 ? Infinity : wanted;
  if (!args.has("max-connections")) {
    return { shared, maximum: wanted === undefined ? defaultMaximum : Math.max(defaultMaximum, shared) };
  }
  const maximum = count(args, "max-connections", defaultMaximum, 1);
  if (shared !== Infinity && maximum < shared) {
    throw new CommandError(`--max-connections ${maximum} is less than --shared ${shared}`, {
      hint: "--max-connections drops clients that --shared promises to serve",
    });
  }
  return { shared, maximum };
}
