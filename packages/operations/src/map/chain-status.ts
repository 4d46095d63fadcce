import {
  hostOffset,
  guestOffset,
  type FormatAccess,
  type HostPlace,
  type Io,
  type RawMapping,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import type { BlockStatus } from "./block-status.ts";
import { ExtentCursor } from "./extent-cursor.ts";

/** Answered by a layer itself, or handed down to the one below. */
type LayerAnswer =
  { readonly status: BlockStatus } | { readonly below: FormatAccess; readonly offset: number; readonly length: number };

/**
 * Looks a run up through all layers of an image, exactly as `qemu-img map` reports it: layer by layer, since it matters which one says
 * that a run is zero. Remembers what the host says about holes; make a new one for every walk.
 */
export class ChainStatus {
  readonly #image: FormatAccess;
  readonly #sparse = new Map<FormatAccess, boolean>();
  readonly #cursors = new Map<Storage, ExtentCursor>();

  constructor(image: FormatAccess) {
    this.#image = image;
  }

  /**
   * What is known about the start of `[offset, offset + length)`. The caller holds a lease, `length` is at least 1, and the range lies
   * within the image's size in whole sectors.
   */
  *at(offset: number, length: number): Io<BlockStatus> {
    let layer = this.#image;
    let at = offset;
    let most = length;
    for (let depth = 0; ; depth++) {
      const answer = yield* this.#layer(layer, at, Math.min(most, sectorAlignedSize(layer) - at), depth);
      if ("status" in answer) {
        return answer.status;
      }
      layer = answer.below;
      at = answer.offset;
      most = answer.length;
    }
  }

  *#layer(layer: FormatAccess, offset: number, most: number, depth: number): Io<LayerAnswer> {
    const { driver } = layer;
    if (offset >= driver.size) {
      return { status: yield* padding(layer, offset, most, depth) };
    }
    const guest = guestOffset(offset);
    const mapping = driver.peekMapping?.(guest, most) ?? (yield* driver.getMapping(guest, most));
    const length = Math.min(mapping.length, most);
    if (mapping.kind === "raw") {
      return { status: yield* this.#data(layer, mapping, length, depth) };
    }
    return answerWithoutData(mapping, length, depth);
  }

  /** Data that can be read in place. The host may know that some of it are holes. */
  *#data(layer: FormatAccess, mapping: RawMapping, length: number, depth: number): Io<BlockStatus> {
    const { storage, offset } = mapping;
    const whole = { length, depth, allocated: true, compressed: false, place: { storage, offset } };
    if (!(yield* this.#isSparse(layer))) {
      return { ...whole, zero: false, data: true };
    }
    const extent = yield* this.#cursor(storage).at(offset, length);
    const zero = extent.kind === "hole";
    // a raw image is its file: a hole there is a hole in the disk; other formats did allocate the run
    const data = !zero || layer.driver.format !== "raw";
    return { ...whole, length: extent.length, zero, data };
  }

  *#isSparse(layer: FormatAccess): Io<boolean> {
    let sparse = this.#sparse.get(layer);
    if (sparse === undefined) {
      const { driver } = layer;
      sparse = driver.hasSparseData === undefined ? driver.format === "raw" : yield* driver.hasSparseData();
      this.#sparse.set(layer, sparse);
    }
    return sparse;
  }

  #cursor(storage: Storage): ExtentCursor {
    let cursor = this.#cursors.get(storage);
    if (cursor === undefined) {
      cursor = new ExtentCursor(storage);
      this.#cursors.set(storage, cursor);
    }
    return cursor;
  }
}

function answerWithoutData(mapping: Exclude<ShallowMapping, RawMapping>, length: number, depth: number): LayerAnswer {
  switch (mapping.kind) {
    case "special":
      return {
        status: { length, depth, allocated: true, zero: false, data: true, compressed: mapping.compressed },
      };
    case "zero":
      return { status: zeroes(length, depth, mapping.explicit, mapping.reserved) };
    case "indirect": {
      const { layer, offset } = mapping;
      if (offset >= sectorAlignedSize(layer)) {
        // what goes on past the end of a shorter image below is this layer's, which never allocated it
        return { status: zeroes(length, depth, false, mapping.reserved) };
      }
      return { below: layer, offset, length };
    }
    case "eof":
      throw new RangeError("asked for the status past the end of the disk");
  }
}

function zeroes(length: number, depth: number, allocated: boolean, place: HostPlace | undefined): BlockStatus {
  const status = { length, depth, allocated, zero: true, data: false, compressed: false };
  return place === undefined ? status : { ...status, place };
}

/** The bytes that fill up the last sector of a raw image. */
function* padding(layer: FormatAccess, offset: number, length: number, depth: number): Io<BlockStatus> {
  const { driver } = layer;
  const last = yield* driver.getMapping(guestOffset(driver.size - 1), 1);
  const place =
    last.kind === "raw"
      ? { storage: last.storage, offset: hostOffset(last.offset + 1 + offset - driver.size) }
      : undefined;
  return zeroes(length, depth, true, place);
}
