import type { AbortOptions } from "@img/format-core";
import type { Progress } from "../progress.ts";
import type { OnUnreadable } from "./unreadable-area.ts";

/** Options of {@link convert}. */
export interface ConvertOptions extends AbortOptions {
  /**
   * Runs of zeroes in data that are at least so long aren't written as data, bytes. 0: everything is written, zeroes too, so that the target
   * is fully allocated. Default 4096.
   */
  readonly sparse?: number;
  /** The target is known to read as zero everywhere, so that zeroes need not be written at all. Default `false`. */
  readonly targetIsZero?: boolean;
  /**
   * Store data compressed, block by block; what doesn't get smaller is stored as it is. Only into images that can hold it, and where they hold
   * nothing yet. Default `false`.
   */
  readonly compressed?: boolean;
  /**
   * Leave alone what the target shows already: because of the image below it, or because it was written before. What lies at the same place of the
   * same file isn't read; the rest is compared, block by block. With {@link sparse} 0, only what the source doesn't have itself is left alone.
   * Default `false`: everything is written.
   */
  readonly onlyDifferences?: boolean;
  /**
   * With {@link onlyDifferences}: no image below another one shows one of its snapshots, so that compressed data at the same place of the same image
   * needn't be compared. Default `false`.
   */
  readonly noSnapshotsBelow?: boolean;
  /** Most bytes that are written as data in a second. Without waiting for promises, the thread sleeps meanwhile. Default: as many as possible. */
  readonly rate?: number;
  /** Hears about what can't be read of the sources, which then is zero in the target. Default: it is an error. */
  readonly onUnreadable?: OnUnreadable;
  /**
   * Let the host copy data where it can, as `copy_file_range` does between files: it doesn't pass through the program, and is shared where the file
   * system can. Zeroes in it aren't looked for then, so {@link sparse} counts for what has to be read. Not with {@link compressed} or
   * {@link onlyDifferences}. Default `false`.
   */
  readonly offload?: boolean;
  /** Parts that may be in flight at once, where storages answer later. Default 4; 8 with {@link compressed}. */
  readonly parallel?: number;
  /**
   * Most bytes of a part; each part in flight has a buffer of this size. Default 4 MiB; 1 MiB with {@link compressed}, where there is
   * enough to do for each byte.
   */
  readonly chunkSize?: number;
  /** Called between parts, and at the end, with `done` = `total`; never so before everything is copied. */
  readonly onProgress?: (progress: Progress) => void;
}

/** What {@link convert} did. */
export interface ConvertResult {
  /** Size in bytes of the disk that was converted. */
  readonly size: number;
  /** Bytes that were written as data, before they were compressed. */
  readonly written: number;
}

/** {@link ConvertOptions} with everything filled in and checked. */
export interface ConvertSettings {
  readonly sparse: number;
  readonly targetIsZero: boolean;
  readonly compressed: boolean;
  readonly onlyDifferences: boolean;
  readonly noSnapshotsBelow: boolean;
  readonly rate: number;
  readonly offload: boolean;
  readonly parallel: number;
  readonly chunkSize: number;
}

const MiB = 1024 * 1024;

/**
 * Fills in the defaults.
 * @throws RangeError when a number is out of its range
 */
export function convertSettings(options: ConvertOptions): ConvertSettings {
  const { sparse = 4096, targetIsZero = false, compressed = false } = options;
  const { onlyDifferences = false, noSnapshotsBelow = false, rate = Infinity } = options;
  const { parallel = compressed ? 8 : 4, chunkSize = compressed ? MiB : 4 * MiB, offload = false } = options;
  checkInteger("sparse", sparse, 0);
  checkInteger("parallel", parallel, 1);
  checkInteger("chunkSize", chunkSize, 512);
  if (!(rate > 0)) {
    throw new RangeError(`rate ${String(rate)}: expected a number above 0`);
  }
  return { sparse, targetIsZero, compressed, onlyDifferences, noSnapshotsBelow, rate, offload, parallel, chunkSize };
}

function checkInteger(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${name} ${String(value)}: expected an integer of at least ${String(least)}`);
  }
}
