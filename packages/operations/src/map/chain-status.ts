import { guestOffset, hostOffset, type FormatAccess, type Io, type RawMapping, type Storage } from "@img/format-core";
import { ExtentCursor } from "./extent-cursor.ts";
import { answerWithoutData, dataEntry, extentEntry, layerCursor, zeroEntry, type LayerCursor } from "./layer-answer.ts";
import type { MapEntry } from "./map-entry.ts";

/**
 * Looks a run up through all layers of an image, exactly as `qemu-img map` reports it: layer by layer, since it matters which one says
 * that a run is zero. Remembers what the host says about holes; make a new one for every walk.
 *
 * The caller holds a lease, and asks for at least one byte within the image's size in whole sectors.
 */
export class ChainStatus {
  readonly #image: FormatAccess;
  readonly #sparse = new Map<FormatAccess, boolean>();
  readonly #cursors = new Map<Storage, ExtentCursor>();

  constructor(image: FormatAccess) {
    this.#image = image;
  }

  /** What is known about the start of `[start, start + length)`, as a plain call: `undefined` when something has to be read first. */
  peek(start: number, length: number): MapEntry | undefined {
    let cursor = layerCursor(this.#image, 0, start, start, length);
    for (;;) {
      const { layer, offset } = cursor;
      const mapping =
        offset < layer.driver.size ? layer.driver.peekMapping?.(guestOffset(offset), cursor.length) : undefined;
      if (mapping === undefined) {
        return undefined;
      }
      const answer = mapping.kind === "raw" ? this.#peekData(cursor, mapping) : answerWithoutData(cursor, mapping);
      if (answer === undefined || !("layer" in answer)) {
        return answer;
      }
      cursor = answer;
    }
  }

  #peekData(cursor: LayerCursor, mapping: RawMapping): MapEntry | undefined {
    const sparse = this.#sparse.get(cursor.layer);
    if (sparse !== true) {
      return sparse === undefined ? undefined : dataEntry(cursor, mapping);
    }
    const length = Math.min(mapping.length, cursor.length);
    const extent = this.#cursor(mapping.storage).peek(mapping.offset, length);
    return extent === undefined ? undefined : extentEntry(cursor, mapping, extent);
  }

  /** {@link peek} that reads what it has to. */
  *look(start: number, length: number): Io<MapEntry> {
    let cursor = layerCursor(this.#image, 0, start, start, length);
    for (;;) {
      const { layer, offset } = cursor;
      if (offset >= layer.driver.size) {
        return yield* padding(cursor);
      }
      const mapping = yield* layer.driver.getMapping(guestOffset(offset), cursor.length);
      if (mapping.kind === "raw") {
        return yield* this.#data(cursor, mapping);
      }
      const answer = answerWithoutData(cursor, mapping);
      if (!("layer" in answer)) {
        return answer;
      }
      cursor = answer;
    }
  }

  *#data(cursor: LayerCursor, mapping: RawMapping): Io<MapEntry> {
    if (!(yield* this.#isSparse(cursor.layer))) {
      return dataEntry(cursor, mapping);
    }
    const length = Math.min(mapping.length, cursor.length);
    return extentEntry(cursor, mapping, yield* this.#cursor(mapping.storage).at(mapping.offset, length));
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

/** The bytes that fill up the last sector of a raw image. */
function* padding(cursor: LayerCursor): Io<MapEntry> {
  const { driver } = cursor.layer;
  const last = yield* driver.getMapping(guestOffset(driver.size - 1), 1);
  const place =
    last.kind === "raw"
      ? { storage: last.storage, offset: hostOffset(last.offset + 1 + cursor.offset - driver.size) }
      : undefined;
  return zeroEntry(cursor, cursor.length, true, place);
}
