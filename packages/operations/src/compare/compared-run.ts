import { alignUp, type Io, type Storage } from "@img/format-core";
import type { MapEntry } from "../map/map-entry.ts";
import type { ComparedImage } from "./compared-image.ts";

/** What differences are told in. */
const sectorSize = 512;

/**
 * A run of both disks, and what has to be done to compare it: `same` nothing · `first`, `second` that image must be zero · `both` the
 * bytes of both must be equal · `status` nothing, the images are mapped differently already (strict comparisons only).
 */
export interface ComparedRun {
  readonly kind: "same" | "first" | "second" | "both" | "status";
  readonly start: number;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/** Where {@link joinRuns} looks. */
export interface JoinOptions {
  /** Bytes from the start of the disks. */
  readonly start: number;
  /** Where the longer disk ends. */
  readonly end: number;
  /** Most bytes of a run that has to be read. */
  readonly chunkLength: number;
  readonly strict: boolean;
}

/**
 * The run that starts at `start`: as long as the same has to be done. Runs that differ in their status stand alone.
 * It ends early where a run doesn't end on a sector (the end of an odd raw file), since that is where what fills up the sector begins; and what fills it up
 * is a run of its own, so that sectors behind it are counted from where they begin.
 */
export function* joinRuns(first: ComparedImage, second: ComparedImage, options: JoinOptions): Io<ComparedRun> {
  const { start, strict } = options;
  const end = start % sectorSize === 0 ? options.end : Math.min(options.end, alignUp(start, sectorSize));
  let kind: ComparedRun["kind"] = "same";
  let at = start;
  while (at < end) {
    const run = compareEntries(yield* first.entryAt(at), yield* second.entryAt(at), at, strict);
    if (at > start && kind !== run.kind) {
      break;
    }
    kind = run.kind;
    const limit = kind === "same" ? end : Math.min(end, start + options.chunkLength);
    at = Math.min(at + run.length, limit);
    if (kind === "status" || at === limit || at % sectorSize !== 0) {
      break;
    }
  }
  return { kind, start, length: at - start };
}

function compareEntries(a: MapEntry | undefined, b: MapEntry | undefined, at: number, strict: boolean): ComparedRun {
  const length = Math.min(restOf(a, at), restOf(b, at));
  const [zeroA, zeroB] = [a?.zero ?? true, b?.zero ?? true];
  if (strict && a !== undefined && b !== undefined && !hasSameStatus(a, b)) {
    return { kind: "status", start: at, length };
  }
  if ((zeroA && zeroB) || isSamePlace(a, b, at)) {
    return { kind: "same", start: at, length };
  }
  return { kind: zeroA ? "second" : zeroB ? "first" : "both", start: at, length };
}

function restOf(entry: MapEntry | undefined, at: number): number {
  return entry === undefined ? Infinity : entry.start + entry.length - at;
}

function hasSameStatus(a: MapEntry, b: MapEntry): boolean {
  return (
    a.present === b.present &&
    a.zero === b.zero &&
    a.data === b.data &&
    (a.offset === undefined) === (b.offset === undefined)
  );
}

/** Whether both images have the bytes in the very same place, for example in a backing image that they share. */
function isSamePlace(a: MapEntry | undefined, b: MapEntry | undefined, at: number): boolean {
  return (
    a?.data === true &&
    b?.data === true &&
    a.offset !== undefined &&
    b.offset !== undefined &&
    a.offset + (at - a.start) === b.offset + (at - b.start) &&
    isSameStorage(a.storage, b.storage)
  );
}

function isSameStorage(a: Storage | undefined, b: Storage | undefined): boolean {
  return a === b || (a?.identity !== undefined && a.identity === b?.identity);
}
