import { alignDown, alignUp, type FormatAccess, type Io, type Mapping, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { firstDifference } from "#first-difference";
import type { ConvertSettings } from "./convert-options.ts";
import type { SourceDisk, SourceRun } from "./source-disk.ts";

/** Blocks of targets that have none, bytes. */
const defaultBlock = 65536;

/** What has to be done about a run. */
export interface ComparedRun {
  /** `same`: the target shows these bytes already · `compare`: it may, which only reading tells · `write`: they are to be written anyway. */
  readonly kind: "same" | "compare" | "write";
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/** A part of a buffer, in bytes from its start. */
interface DifferentRange {
  readonly start: number;
  readonly end: number;
}

type SpecialLayer = Extract<Mapping, { readonly kind: "special" }>;

/** Tells what of the source the target shows already, because of what lies below it or what it had before. */
export class TargetComparison {
  readonly #source: SourceDisk;
  readonly #target: FormatAccess;
  readonly #block: number;
  /** What the source has itself is written, whether the target shows the same or not. */
  readonly #allocates: boolean;
  readonly #noSnapshotsBelow: boolean;
  /** Buffers that nobody uses at the moment. */
  readonly #buffers: Uint8Array[] = [];

  constructor(source: SourceDisk, target: FormatAccess, settings: ConvertSettings) {
    this.#source = source;
    this.#target = target;
    this.#block = target.driver.compressedBlockSize ?? defaultBlock;
    this.#allocates = settings.sparse === 0;
    this.#noSnapshotsBelow = settings.noSnapshotsBelow;
  }

  /** The start of a range; parts of blocks are never the same, unless the disk ends there. */
  *runAt(start: number, end: number): Io<ComparedRun> {
    const { kind, length } = yield* this.#look(start, end);
    const stop = start + length;
    if (kind !== "same") {
      return { kind, length: Math.min(alignUp(stop, this.#block), end) - start };
    }
    const whole = stop === end ? stop : alignDown(stop, this.#block);
    return whole > start
      ? { kind, length: whole - start }
      : { kind: "compare", length: Math.min(alignUp(start + 1, this.#block), end) - start };
  }

  *#look(start: number, end: number): Io<ComparedRun> {
    const ours = yield* this.#source.mappingAt(start, end - start);
    if (ours === undefined) {
      return { kind: "compare", length: 1 };
    }
    const theirs = yield* this.#target.io.getMapping(start, end - start);
    const most = ours.kind === "eof" ? end - start : Math.min(ours.length, end - start);
    const length = Math.min(most, theirs.length);
    if (this.#allocates && ours.depth === 0 && (ours.kind !== "zero" || ours.explicit)) {
      return { kind: "write", length };
    }
    return { kind: this.#isSame(ours, theirs) ? "same" : "compare", length };
  }

  /** Whether two mappings are for the same bytes, whatever these are. */
  #isSame(ours: Mapping, theirs: Mapping): boolean {
    switch (ours.kind) {
      case "eof":
      case "zero":
        return theirs.kind === "zero";
      case "raw":
        return theirs.kind === "raw" && ours.offset === theirs.offset && isSameStorage(ours.storage, theirs.storage);
      case "special":
        return theirs.kind === "special" && ours.offset === theirs.offset && this.#isSameLayer(ours, theirs);
    }
  }

  /** Images on top may show snapshots; then the same offset of the same file is something else. */
  #isSameLayer(ours: SpecialLayer, theirs: SpecialLayer): boolean {
    if (ours.layer === theirs.layer) {
      return true;
    }
    const [first, second] = [ours.layer.driver, theirs.layer.driver];
    const isBelow = this.#noSnapshotsBelow && ours.depth > 0 && theirs.depth > 0;
    return isBelow && first.format === second.format && isSameStorage(first.storages[0], second.storages[0]);
  }

  /** {@link runAt} for a range in which the source is zero: `zero` where the target needn't be made so. */
  *zeroRunAt(start: number, end: number): Io<SourceRun> {
    if (this.#allocates) {
      const { kind, length } = yield* this.runAt(start, end);
      return { zero: kind === "same", length };
    }
    const { kind, length } = yield* this.#target.io.getMapping(start, end - start);
    return { zero: kind === "zero", length: Math.min(length, end - start) };
  }

  /**
   * The parts of `buffer`, which is what the source has from `offset` on, in which the target differs: whole blocks.
   */
  *differences(buffer: Uint8Array, offset: number): Io<readonly DifferentRange[]> {
    const pooled = this.#buffers.pop();
    const known = pooled !== undefined && pooled.length >= buffer.length ? pooled : new Uint8Array(buffer.length);
    try {
      yield* this.#target.io.read(IoVector.single(known.subarray(0, buffer.length)), offset);
      return this.#compare(buffer, known, offset);
    } finally {
      this.#buffers.push(known);
    }
  }

  #compare(buffer: Uint8Array, known: Uint8Array, offset: number): readonly DifferentRange[] {
    const found: { start: number; end: number }[] = [];
    for (let at = 0; at < buffer.length;) {
      const end = Math.min(alignDown(offset + at, this.#block) + this.#block - offset, buffer.length);
      const differs = firstDifference(buffer.subarray(at, end), known.subarray(at, end), end - at) < end - at;
      const last = found.at(-1);
      if (differs && last?.end === at) {
        last.end = end;
      } else if (differs) {
        found.push({ start: at, end });
      }
      at = end;
    }
    return found;
  }
}

function isSameStorage(ours: Storage | undefined, theirs: Storage | undefined): boolean {
  return ours === theirs || (ours?.identity !== undefined && ours.identity === theirs?.identity);
}
