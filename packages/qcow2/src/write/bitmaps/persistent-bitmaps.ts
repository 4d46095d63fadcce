import { ImgError, type Io } from "@img/format-core";
import { bitmapShape, type BitmapShape } from "../../bitmaps/bitmap-shape.ts";
import { loadBitmapTable } from "../../bitmaps/bitmap-table.ts";
import { inconsistentBitmap } from "../../bitmaps/find-bitmap.ts";
import {
  changedBitmapRecord,
  loadBitmapRecords,
  type BitmapEntry,
  type BitmapRecord,
} from "../../bitmaps/load-bitmaps.ts";
import { UnsavedBits } from "../../bitmaps/unsaved-bits.ts";
import type { BitmapsExtension } from "../../header/known-extensions.ts";
import { replaceDirectory, writeFlags, type DirectoryTarget } from "./bitmap-directory.ts";
import { rewriteBitmap, type PageChange, type RewrittenBitmap } from "./rewrite-bitmap.ts";

/** What is being done with a bitmap while its image is written. */
interface OpenBitmap {
  readonly index: number;
  readonly unsaved: UnsavedBits;
}

/** What {@link PersistentBitmaps} start with. */
export interface PersistentBitmapsParts {
  readonly place: BitmapsExtension | undefined;
  readonly entries: readonly BitmapEntry[];
  /** Most memory for bits that aren't saved yet, bytes. */
  readonly memory: number;
}

/** What becomes of one bitmap: another table, other flags, or `undefined`: it goes. */
export interface BitmapChange {
  readonly record: BitmapRecord | undefined;
  readonly rewritten?: RewrittenBitmap | undefined;
}

/**
 * The bitmaps in an image that is written. Before the first change of the disk, those that record it are marked in the image as being in use; from then
 * on what changes is noted in memory, and saved when the image is closed. Whoever finds the mark knows that the bitmap means nothing: after a crash,
 * bitmaps are lost, but none is wrong. Bitmaps that record nothing stay as they are, and what was marked by somebody else stays marked.
 */
export class PersistentBitmaps {
  readonly #memory: number;
  #onChange: ((entries: readonly BitmapEntry[]) => void) | undefined;
  #place: BitmapsExtension | undefined;
  #entries: readonly BitmapEntry[];
  #records: readonly BitmapRecord[] | undefined;
  /** Marked in the image by us. */
  #open: OpenBitmap[] = [];
  /** Of those, the ones that record what is written. */
  #recording: readonly UnsavedBits[] = [];
  #isActive = false;
  /** The disk became smaller: bits behind its end go when the bitmaps are saved. */
  #isShorter = false;

  constructor({ place, entries, memory }: PersistentBitmapsParts) {
    this.#place = entries.length === 0 ? undefined : place;
    this.#entries = entries;
    this.#memory = memory;
  }

  /** Sets who is told of the bitmaps whenever they have changed in the image. */
  listen(onChange: (entries: readonly BitmapEntry[]) => void): void {
    this.#onChange = onChange;
  }

  /** The bitmaps; those that are marked by us aren't shown as such. */
  get entries(): readonly BitmapEntry[] {
    return this.#entries;
  }

  /** Whether the disk may change, because what happens to it is recorded, or bitmaps are marked still. */
  get isActive(): boolean {
    return this.#isActive || this.#open.length > 0;
  }

  /** What was recorded for a bitmap and isn't saved yet. */
  unsaved(entry: BitmapEntry): UnsavedBits | undefined {
    const index = this.#entries.indexOf(entry);
    return this.#open.find((open) => open.index === index)?.unsaved;
  }

  /** Records that a range of the disk is about to change. */
  mark(offset: number, length: number): void {
    if (length > 0) {
      for (const unsaved of this.#recording) {
        unsaved.mark(offset, length);
      }
    }
  }

  /**
   * Marks the bitmaps that record writes, durably.
   * @throws ImgError `ERR_IMG_LIMIT` when their bits may not all be kept in memory; `ERR_IMG_CORRUPT` when one doesn't fit the disk
   */
  *begin(target: DirectoryTarget): Io<void> {
    if (this.#isActive) {
      return;
    }
    const { size } = target.context;
    const recording = this.#entries.flatMap((entry, index) => (entry.auto && !entry.inUse ? [{ entry, index }] : []));
    this.#checkMemory(
      recording.map(({ entry }) => this.#shapeOf(target, entry, size)),
      this.#memory,
    );
    // those that couldn't be saved are marked already
    const missing = recording.filter(({ entry }) => this.unsaved(entry) === undefined);
    yield* this.#markInUse(
      target,
      missing.map(({ entry, index }) => newlyOpen(target, entry, index)),
    );
    this.#recording = recording.flatMap(({ entry }) => this.unsaved(entry) ?? []);
    this.#isActive = true;
  }

  /** @throws ImgError `ERR_IMG_CORRUPT` when the bitmap's table isn't as long as the disk needs it; one that is marked gets another when it is saved */
  #shapeOf(target: DirectoryTarget, entry: BitmapEntry, size: number): BitmapShape {
    const shape = bitmapShape(size, entry.granularity, target.context.layout.clusterSize);
    if (shape.pages !== entry.tableSize && this.unsaved(entry) === undefined) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `bitmap ${JSON.stringify(entry.name)} has a table of ${String(entry.tableSize)} entries: expected ${String(shape.pages)}`,
        { feature: "bitmaps", subject: entry.name },
      );
    }
    return shape;
  }

  #checkMemory(shapes: readonly BitmapShape[], most: number): void {
    const needed = shapes.reduce((sum, { bits }) => sum + Math.ceil(bits / 8), 0);
    if (needed > most) {
      throw new ImgError(
        "ERR_IMG_LIMIT",
        `the bitmaps that record writes may take ${String(needed)} bytes of memory: expected at most ${String(most)}`,
        { feature: "bitmaps" },
      );
    }
  }

  *#markInUse(target: DirectoryTarget, open: readonly OpenBitmap[]): Io<void> {
    if (open.length > 0) {
      const before = yield* this.#loadRecords(target);
      const all = [...this.#open, ...open];
      yield* this.#writeFlags(target, before, inUse(before, all));
      this.#open = all;
    }
  }

  *#writeFlags(target: DirectoryTarget, before: readonly BitmapRecord[], after: readonly BitmapRecord[]): Io<void> {
    const place = this.#place;
    if (place !== undefined) {
      const there = inUse(before, this.#open);
      // what fails may be there all the same, and nobody would record what it says is recorded
      yield* target.header.change(
        () => writeFlags(target, place, there, after),
        () => writeFlags(target, place, after, there),
        () => undefined,
      );
    }
  }

  /** The directory's entries, without our marks. */
  *#loadRecords({ storage }: DirectoryTarget): Io<readonly BitmapRecord[]> {
    this.#records ??= this.#place === undefined ? [] : yield* loadBitmapRecords(storage, this.#place);
    return this.#records;
  }

  /**
   * To be called before the disk's size changes: marks those bitmaps too that don't record writes, but get another table.
   * @throws ImgError `ERR_IMG_CORRUPT` when there is one that wasn't saved properly: nobody knows how large it is; `ERR_IMG_LIMIT`
   */
  *prepareResize(target: DirectoryTarget, size: number): Io<void> {
    const { size: before } = target.context;
    const open: OpenBitmap[] = [];
    const shapes: BitmapShape[] = [];
    for (const [index, entry] of this.#entries.entries()) {
      if (entry.inUse) {
        throw inconsistentBitmap(entry.name);
      }
      const old = this.#shapeOf(target, entry, before);
      const shape = bitmapShape(size, entry.granularity, target.context.layout.clusterSize);
      if (size === 0) {
        throw new ImgError("ERR_IMG_UNSUPPORTED", "an empty disk can't have bitmaps", { feature: "bitmaps" });
      }
      if (entry.auto) {
        shapes.push(shape);
      } else if ((shape.pages !== old.pages || size < before) && this.unsaved(entry) === undefined) {
        open.push(newlyOpen(target, entry, index));
      }
    }
    this.#checkMemory(shapes, this.#memory);
    yield* this.#markInUse(target, open);
    this.#isShorter ||= size < before;
  }

  /**
   * Saves what was recorded, and takes the marks away. Nobody may be writing. If it fails, the bitmaps stay marked.
   */
  *save(target: DirectoryTarget): Io<void> {
    this.#isActive = false;
    if (this.#open.length === 0) {
      return;
    }
    const records = yield* this.#loadRecords(target);
    const changes = new Map<number, BitmapChange>();
    try {
      for (const { index, unsaved } of this.#open) {
        const record = records[index];
        const entry = this.#entries[index];
        if (record !== undefined && entry !== undefined) {
          const rewritten = yield* this.#rewrite(target, entry, this.#addUnsaved(unsaved));
          if (rewritten !== undefined) {
            changes.set(index, { record: withTable(record, rewritten), rewritten });
          }
        }
      }
    } catch (error) {
      dropAll(changes);
      throw error;
    }
    if (changes.size === 0) {
      yield* this.#writeFlags(target, records, records);
    } else {
      yield* this.#replace(target, records, changes);
    }
    this.#open = [];
    this.#recording = [];
    this.#isShorter = false;
  }

  #addUnsaved(unsaved: UnsavedBits): PageChange {
    return {
      touches: (page, isLast) => unsaved.touches(page) || (isLast && this.#isShorter),
      *change(page, bits) {
        unsaved.addTo(page, bits);
      },
    };
  }

  *#rewrite(target: DirectoryTarget, entry: BitmapEntry, change: PageChange): Io<RewrittenBitmap | undefined> {
    const { context } = target;
    const { clusterSize } = context.layout;
    const table = yield* loadBitmapTable(target.storage, entry, clusterSize);
    const shape = bitmapShape(context.size, entry.granularity, clusterSize);
    return yield* rewriteBitmap(context, { tableOffset: entry.tableOffset, table }, shape, change);
  }

  /** Changes the bits of one bitmap at once. What was recorded is saved already. */
  *rewrite(target: DirectoryTarget, entry: BitmapEntry, change: PageChange): Io<void> {
    const records = yield* this.#loadRecords(target);
    const index = this.#entries.indexOf(entry);
    const record = records[index];
    const rewritten = yield* this.#rewrite(target, entry, change);
    if (record !== undefined && rewritten !== undefined) {
      yield* this.#replace(target, records, new Map([[index, { record: withTable(record, rewritten), rewritten }]]));
    }
  }

  /** Adds a bitmap behind the others. */
  *add(target: DirectoryTarget, record: BitmapRecord): Io<void> {
    const records = yield* this.#loadRecords(target);
    yield* this.#replace(target, records, new Map([[records.length, { record }]]));
  }

  /** Takes a bitmap out. Its clusters are the caller's to free. */
  *remove(target: DirectoryTarget, entry: BitmapEntry): Io<void> {
    const records = yield* this.#loadRecords(target);
    yield* this.#replace(target, records, new Map([[this.#entries.indexOf(entry), { record: undefined }]]));
  }

  /** Says whether a bitmap records writes from now on. What was recorded is saved already. */
  *setAuto(target: DirectoryTarget, entry: BitmapEntry, auto: boolean): Io<void> {
    const records = yield* this.#loadRecords(target);
    const index = this.#entries.indexOf(entry);
    const after = records.map((record, at) => (at === index ? changedBitmapRecord(record, { auto }) : record));
    yield* this.#writeFlags(target, records, after);
    this.#set(after);
  }

  *#replace(
    target: DirectoryTarget,
    records: readonly BitmapRecord[],
    changes: ReadonlyMap<number, BitmapChange>,
  ): Io<void> {
    const indexes = Array.from({
      length: Math.max(records.length, ...[...changes.keys()].map((key) => key + 1)),
    }).keys();
    const after = [...indexes].flatMap((index) => {
      const change = changes.get(index);
      const record = change === undefined ? records[index] : change.record;
      return record === undefined ? [] : [record];
    });
    try {
      this.#place = yield* replaceDirectory(target, this.#place, after);
    } catch (error) {
      dropAll(changes);
      throw error;
    }
    for (const { rewritten } of changes.values()) {
      rewritten?.dropOld();
    }
    this.#set(after);
  }

  #set(records: readonly BitmapRecord[]): void {
    this.#records = records;
    this.#entries = records.map(({ entry }) => entry);
    this.#onChange?.(this.#entries);
  }
}

function newlyOpen(target: DirectoryTarget, entry: BitmapEntry, index: number): OpenBitmap {
  return { index, unsaved: new UnsavedBits(entry.granularity, target.context.layout.clusterSize) };
}

function inUse(records: readonly BitmapRecord[], open: readonly OpenBitmap[]): readonly BitmapRecord[] {
  const marked = new Set(open.map(({ index }) => index));
  return records.map((record, index) => (marked.has(index) ? changedBitmapRecord(record, { inUse: true }) : record));
}

function withTable(record: BitmapRecord, { tableOffset, tableSize }: RewrittenBitmap): BitmapRecord {
  return changedBitmapRecord(record, { tableOffset, tableSize });
}

function dropAll(changes: ReadonlyMap<number, BitmapChange>): void {
  for (const { rewritten } of changes.values()) {
    rewritten?.dropNew();
  }
}
