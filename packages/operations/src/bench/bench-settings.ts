import type { AbortOptions } from "@img/format-core";

/** Options of {@link bench}. Everything is as in `qemu-img bench`. */
export interface BenchOptions extends AbortOptions {
  /** Write instead of reading. Default `false`. */
  readonly write?: boolean;
  /** Requests. Default 75 000. */
  readonly count?: number;
  /** Requests in flight, where the image's storage answers later; ≥ 1. Default 64. */
  readonly depth?: number;
  /** Bytes of each request. Default 4096. */
  readonly length?: number;
  /** Where the first request begins, bytes. Default 0. */
  readonly offset?: number;
  /** Bytes from the start of one request to that of the next; behind the disk's end it goes on from its start. Default: the length. */
  readonly step?: number;
  /** The byte that is written, 0 to 255. Default 0. */
  readonly pattern?: number;
  /** Flush and sync after every so many requests; 0: never. Only with {@link write}, and not below the depth. Default 0. */
  readonly flushInterval?: number;
  /** Let requests in flight end before a flush, and send none during it. Default `true`. */
  readonly drain?: boolean;
}

/** {@link BenchOptions} with everything filled in and checked. */
export type BenchSettings = Required<Omit<BenchOptions, "signal">>;

/**
 * Fills in the defaults.
 * @throws RangeError when a number is out of its range
 */
export function benchSettings(options: BenchOptions): BenchSettings {
  const { write = false, count = 75_000, depth = 64, length = 4096, offset = 0, drain = true } = options;
  const { pattern = 0, flushInterval = 0 } = options;
  const step = options.step ?? length;
  checkInteger("count", count, 0);
  checkInteger("depth", depth, 1);
  checkInteger("length", length, 0);
  checkInteger("offset", offset, 0);
  checkInteger("step", step, 0);
  checkInteger("pattern", pattern, 0, 255);
  checkInteger("flushInterval", flushInterval, 0);
  if (flushInterval > 0 && !write) {
    throw new RangeError("flushInterval: expected only when writing");
  }
  if (flushInterval > 0 && flushInterval < depth) {
    throw new RangeError(`flushInterval ${String(flushInterval)}: expected at least the depth, ${String(depth)}`);
  }
  return { write, count, depth, length, offset, step, pattern, flushInterval, drain };
}

function checkInteger(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} ${String(value)}: expected an integer from ${String(least)} to ${String(most)}`);
  }
}
