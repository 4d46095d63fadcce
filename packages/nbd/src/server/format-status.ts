import { storageExtents, type FormatAccess, type Io, type Storage } from "@img/format-core";
import { allocationFlags } from "../protocol/transmission-numbers.ts";

/** A range, and what all layers of an image together say about it. */
export interface LayeredExtent {
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** `allocationFlags` */
  readonly flags: number;
  /** Which layer has it: 1 the image itself, 2 the one below, …; 0: none of them. */
  readonly depth: number;
}

const data = 0;
const hole = allocationFlags.hole | allocationFlags.zero;

/** Looks ranges up in the layers of an image, and in the storages of those whose data may have holes. */
export class FormatStatus {
  readonly #access: FormatAccess;
  readonly #sparse = new Map<FormatAccess, boolean>();

  constructor(access: FormatAccess) {
    this.#access = access;
  }

  /** What holds from `offset` on: at least one extent, for at most `length` bytes, as far as it can be told at once. */
  *at(offset: number, length: number): Io<readonly LayeredExtent[]> {
    let layer = this.#access;
    let at: number = offset;
    let rest = length;
    for (let depth = 1; ; depth++) {
      const mapping = yield* layer.io.getShallowMapping(at, rest);
      rest = mapping.kind === "eof" ? rest : Math.min(rest, mapping.length);
      switch (mapping.kind) {
        case "raw":
          return yield* this.#stored(layer, mapping.storage, mapping.offset, rest, depth);
        case "special":
          return [{ length: rest, flags: data, depth }];
        case "zero": {
          const flags = mapping.reserved === undefined ? hole : allocationFlags.zero;
          return [{ length: rest, flags, depth: mapping.explicit ? depth : 0 }];
        }
        case "eof":
          // what a shorter image below has nothing for reads as zero because of that image
          return [{ length: rest, flags: hole, depth }];
        case "indirect":
          ({ layer, offset: at } = mapping);
      }
    }
  }

  *#stored(layer: FormatAccess, storage: Storage, offset: number, length: number, depth: number): Io<LayeredExtent[]> {
    if (!(yield* this.#isSparse(layer))) {
      return [{ length, flags: data, depth }];
    }
    const extents = yield* storageExtents(storage, offset, length);
    return extents.map((extent) => ({ length: extent.length, flags: extent.kind === "hole" ? hole : data, depth }));
  }

  *#isSparse(layer: FormatAccess): Io<boolean> {
    let sparse = this.#sparse.get(layer);
    if (sparse === undefined) {
      sparse = layer.driver.hasSparseData === undefined ? false : yield* layer.driver.hasSparseData();
      this.#sparse.set(layer, sparse);
    }
    return sparse;
  }
}
