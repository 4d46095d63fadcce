import type { Storage } from "@img/format-core";
import type { MapEntry } from "@img/operations";
import { extentKinds, kindOf, type ExtentKind } from "./extent-kind.ts";
import { Grid } from "./grid.ts";
import { Strip } from "./strip.ts";

/** How fine a picture is. */
export interface PlotResolution {
  /** Most places of the disk. */
  readonly diskCells: number;
  /** Most places of the file. */
  readonly fileCells: number;
  /** Columns and rows of the drawing that has the disk from left to right and the file from the bottom up; absent: there is none. */
  readonly grid?: readonly [columns: number, rows: number];
}

/** The file that an image's own data lie in. */
export interface FilePlot {
  readonly size: number;
  /** `data`: bytes; `position`: where in the disk they belong, the sum for all bytes, from 0 to 1. */
  readonly strip: Strip<"data" | "position">;
  readonly grid: Grid | undefined;
}

/** Smallest place that a picture shows, in bytes. */
const leastCell = 4096;

/** What a picture of a disk is drawn from: collected from the entries of its map, in memory that depends on the resolution alone. */
export class DiskPlot {
  readonly start: number;
  readonly length: number;
  readonly disk: Strip<ExtentKind>;
  /** Bytes of each kind. */
  readonly totals = new Map<ExtentKind, number>(extentKinds.map((kind) => [kind, 0]));
  /** Runs of the image's own data in the file, each of which continues neither in the disk nor in the file. */
  runs = 0;
  /** The longest of them, in bytes. */
  longestRun = 0;
  readonly #resolution: PlotResolution;
  #storage: Storage | undefined;
  #file: FilePlot | undefined;
  #run: { diskEnd: number; fileEnd: number; length: number } | undefined;

  /** @param length - of the part of the disk that is shown, in bytes */
  constructor(start: number, length: number, resolution: PlotResolution) {
    this.start = start;
    this.length = length;
    this.#resolution = resolution;
    this.disk = new Strip(extentKinds, start, length, resolution.diskCells, leastCell);
  }

  /** The file; `undefined` when none of the image's own data has a place in one. */
  get file(): FilePlot | undefined {
    return this.#file;
  }

  /** Bytes that are data of the image itself and have a place in its file. */
  get stored(): number {
    return this.totals.get("data") ?? 0;
  }

  add(entry: MapEntry): void {
    const kind = kindOf(entry);
    this.disk.add(kind, entry.start, entry.length);
    this.totals.set(kind, (this.totals.get(kind) ?? 0) + entry.length);
    if (kind === "data" && entry.offset !== undefined && entry.storage !== undefined) {
      this.#addStored(entry.start, entry.offset, entry.length, entry.storage);
    }
  }

  #addStored(start: number, offset: number, length: number, storage: Storage): void {
    this.#storage ??= storage;
    if (storage !== this.#storage) {
      return;
    }
    this.#file ??= this.#newFile(storage.size);
    const { strip, grid } = this.#file;
    strip.add("data", offset, length);
    for (let done = 0; done < length; done += strip.cellSize) {
      const part = Math.min(strip.cellSize, length - done);
      strip.add("position", offset + done, part, (start + done + part / 2 - this.start) / this.length);
    }
    grid?.addDiagonal(start - this.start, offset, length);
    this.#extendRun(start, offset, length);
  }

  #newFile(size: number): FilePlot {
    const { fileCells, grid } = this.#resolution;
    return {
      size,
      strip: new Strip(["data", "position"], 0, size, fileCells, leastCell),
      grid: grid === undefined ? undefined : new Grid(grid[0], grid[1], this.length, size),
    };
  }

  #extendRun(start: number, offset: number, length: number): void {
    const run = this.#run;
    if (run?.diskEnd === start && run.fileEnd === offset) {
      run.diskEnd += length;
      run.fileEnd += length;
      run.length += length;
    } else {
      this.#run = { diskEnd: start + length, fileEnd: offset + length, length };
      this.runs++;
    }
    this.longestRun = Math.max(this.longestRun, this.#run?.length ?? 0);
  }
}
