import type { BenchOptions } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { parseCacheMode, type CacheMode } from "./cache-mode.ts";
import { integerIn, sizeIn } from "./number-in.ts";

/** What the command line of `bench` asks for. */
export interface BenchRequest {
  readonly settings: Required<Omit<BenchOptions, "signal">>;
  readonly cache: CacheMode;
  /** QEMU's asynchronous I/O of Linux, which goes with some cache modes only. */
  readonly nativeAio: boolean;
}

const most = 2 ** 31 - 1;

/** @throws CommandError in qemu-img's words */
export function benchRequest(args: ParsedArguments): BenchRequest {
  const integer = (key: string, what: string, otherwise: number, least: number, limit = most): number => {
    const text = args.value(key);
    return text === undefined ? otherwise : integerIn(text, { what, least, most: limit });
  };
  const size = (key: string, what: string, otherwise: number, limit?: number): number => {
    const text = args.value(key);
    const range = limit === undefined ? { what, least: 0 } : { what, least: 0, most: limit };
    return text === undefined ? otherwise : sizeIn(text, range);
  };
  const length = size("s", "buffer size", 4096, most);
  const settings = {
    write: args.has("w"),
    count: integer("c", "request count", 75_000, 0),
    // QEMU hangs with a depth of 0
    depth: integer("d", "queue depth", 64, 1),
    length,
    offset: size("o", "offset", 0),
    // 0 is the same as nothing
    step: size("S", "step_size", 0, most) || length,
    pattern: integer("pattern", "pattern byte", 0, 0, 255),
    flushInterval: integer("flush-interval", "flush interval", 0, 0),
    drain: !args.has("no-drain"),
  };
  const request = { settings, cache: cacheMode(args.value("t")), nativeAio: nativeAio(args) };
  checkFlushes(request);
  return request;
}

function cacheMode(name: string | undefined): CacheMode {
  try {
    return parseCacheMode(name ?? "writeback", "cache");
  } catch {
    throw new CommandError("Invalid cache mode");
  }
}

function nativeAio(args: ParsedArguments): boolean {
  const unknown = args.values("i").find((name) => !["threads", "native", "io_uring"].includes(name));
  if (unknown !== undefined) {
    throw new CommandError(`Invalid aio option: ${unknown}`);
  }
  return args.has("n") || args.value("i") === "native";
}

function checkFlushes({ settings: { write, depth, flushInterval } }: BenchRequest): void {
  if (!write && flushInterval > 0) {
    throw new CommandError("--flush-interval is only available in write tests");
  }
  if (flushInterval > 0 && flushInterval < depth) {
    throw new CommandError("Flush interval can't be smaller than depth");
  }
}
