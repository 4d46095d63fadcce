import type { ImageSpec } from "./image-spec.ts";
import { patternFiles } from "./guest-contents.ts";
import type { Random } from "./random.ts";

/** What the commands for one image have to know. */
export interface ProgramTarget {
  readonly clusterSize: number;
  /** Size of the disk in bytes. */
  readonly size: number;
  /** Whether clusters may be written compressed. */
  readonly compresses: boolean;
  /** Path of a pattern file. */
  readonly patternPath: (name: string) => string;
  /** Clusters that are or were allocated: a compressed write to one fails. Grows as commands are made. */
  readonly touched: Set<number>;
}

type Operation = "data" | "zero" | "unmap" | "discard" | "rezero" | "odd" | "compress" | "overwrite" | "fill";

const weights: Readonly<Record<ImageSpec["pattern"], Readonly<Partial<Record<Operation, number>>>>> = {
  empty: {},
  data: { data: 3, odd: 1 },
  full: { fill: 1 },
  zeroes: { data: 3, zero: 2, unmap: 2, odd: 1 },
  discards: { data: 4, discard: 3, odd: 1 },
  "allocated-zero": { data: 2, rezero: 4, odd: 1 },
  "odd-offsets": { odd: 8, zero: 1, unmap: 1, discard: 1 },
  compressed: { compress: 1 },
  "compressed-overwritten": { compress: 4, overwrite: 3, odd: 1 },
  mixed: { data: 3, zero: 1, unmap: 1, discard: 1, rezero: 1, odd: 3, compress: 3, overwrite: 2 },
};

/**
 * Commands for one qemu-io process that fill an image as `pattern` says. No two runs with an equal generator differ.
 * @param count - how many operations
 */
export function writeProgram(
  pattern: ImageSpec["pattern"],
  target: ProgramTarget,
  count: number,
  random: Random,
): string[] {
  const bag = Object.entries(weights[pattern])
    .filter(([operation]) => operation !== "compress" || target.compresses)
    .flatMap(([operation, weight]) => Array<Operation>(weight).fill(operation as Operation));
  if (bag.length === 0) {
    return [];
  }
  const operations = Array.from({ length: count }, () => random.pick(bag));
  // Compressed writes come first: when one process frees a host cluster that compressed clusters shared and then writes compressed again,
  // QEMU 7.2 puts the new cluster where the freed one was, whoever uses that place by then.
  operations.sort((a, b) => Number(b === "compress") - Number(a === "compress"));
  return operations.flatMap((operation) => commandsOf(operation, target, random));
}

function commandsOf(operation: Operation, target: ProgramTarget, random: Random): string[] {
  switch (operation) {
    case "data":
      return [write(target, alignedRange(target, random), random)];
    case "odd":
      return [write(target, oddRange(target, random), random)];
    case "overwrite":
      return [write(target, touchedRange(target, random), random)];
    case "fill":
      return fill(target, random);
    case "zero":
      return [zero(target, anyRange(target, random), false)];
    case "unmap":
      return [zero(target, anyRange(target, random), true)];
    case "discard":
      return [command("discard", touchedRange(target, random))];
    case "rezero": {
      const range = alignedRange(target, random);
      return [write(target, range, random), zero(target, inner(range, target, random), false)];
    }
    case "compress":
      return compress(target, random);
  }
}

interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Whole clusters, up to eight, cut off at the disk's end. */
function alignedRange(target: ProgramTarget, random: Random): Range {
  const clusters = Math.ceil(target.size / target.clusterSize);
  const first = random.below(clusters);
  const most = target.clusterSize <= 128 * 1024 ? 8 : 2;
  return cut(target, first * target.clusterSize, random.between(1, most) * target.clusterSize);
}

/** Anywhere, any length up to two clusters: bytes, sectors or subclusters. */
function oddRange(target: ProgramTarget, random: Random): Range {
  const unit = random.pick([1, 1, 512, target.clusterSize / 32, target.clusterSize / 4].filter((size) => size >= 1));
  const length = Math.max(1, random.below(Math.ceil((2 * target.clusterSize) / unit)) * unit);
  return cut(target, random.below(Math.ceil(target.size / unit)) * unit, length);
}

function anyRange(target: ProgramTarget, random: Random): Range {
  return random.chance(0.6) ? alignedRange(target, random) : oddRange(target, random);
}

/** Something within, around or exactly a cluster that was written before; anywhere if there is none. */
function touchedRange(target: ProgramTarget, random: Random): Range {
  if (target.touched.size === 0) {
    return anyRange(target, random);
  }
  const cluster = random.pick([...target.touched]) * target.clusterSize;
  switch (random.below(3)) {
    case 0:
      return cut(target, cluster, target.clusterSize);
    case 1:
      return inner(cut(target, cluster, target.clusterSize), target, random);
    default:
      return cut(
        target,
        Math.max(0, cluster - random.below(target.clusterSize)),
        target.clusterSize + random.below(target.clusterSize),
      );
  }
}

/** A part of `range`, in subclusters or bytes. */
function inner(range: Range, target: ProgramTarget, random: Random): Range {
  if (random.chance(0.4)) {
    return range;
  }
  const unit = random.chance(0.7) ? Math.max(1, target.clusterSize / 32) : 1;
  const skip = Math.floor(random.below(range.length) / unit) * unit;
  const length = Math.max(1, Math.floor(random.below(range.length - skip) / unit) * unit);
  return { offset: range.offset + skip, length };
}

function cut(target: ProgramTarget, offset: number, length: number): Range {
  const start = Math.min(offset, target.size - 1);
  return { offset: start, length: Math.max(1, Math.min(length, target.size - start)) };
}

function command(what: string, range: Range): string {
  return `${what} ${String(range.offset)} ${String(range.length)}`;
}

function write(target: ProgramTarget, range: Range, random: Random): string {
  touch(target, range);
  const source = random.chance(0.7)
    ? `-s ${target.patternPath(random.pick(patternFiles))}`
    : `-P ${String(random.between(1, 255))}`;
  return command(`write -q ${source}`, range);
}

function zero(target: ProgramTarget, range: Range, unmap: boolean): string {
  touch(target, range);
  return command(unmap ? "write -q -z -u" : "write -q -z", range);
}

/** Writes the whole disk, in pieces. */
function fill(target: ProgramTarget, random: Random): string[] {
  const commands: string[] = [];
  let at = 0;
  while (at < target.size) {
    const range = cut(target, at, target.clusterSize * random.between(1, 16));
    commands.push(write(target, range, random));
    at += range.length;
  }
  return commands;
}

/** Compressed writes to clusters that nothing was written to; only such ones take them. */
function compress(target: ProgramTarget, random: Random): string[] {
  const range = alignedRange(target, random);
  const first = range.offset / target.clusterSize;
  const last = Math.ceil((range.offset + range.length) / target.clusterSize);
  const commands: string[] = [];
  for (let cluster = first; cluster < last; cluster++) {
    if (!target.touched.has(cluster)) {
      const one = cut(target, cluster * target.clusterSize, target.clusterSize);
      commands.push(write(target, one, random).replace("write -q", "write -q -c"));
    }
  }
  return commands;
}

function touch(target: ProgramTarget, range: Range): void {
  const last = Math.floor((range.offset + range.length - 1) / target.clusterSize);
  for (let cluster = Math.floor(range.offset / target.clusterSize); cluster <= last; cluster++) {
    target.touched.add(cluster);
  }
}
