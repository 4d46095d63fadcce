import { ImgError, type FormatAccess, type Io } from "@img/format-core";

/** What some images on top of each other say about the start of a range, before what is below them is asked. */
export interface LayeredRun {
  /** `below`: none of them has it · `zero`: one of them hides what is below, and reads as zero · `data`: one of them has bytes. */
  readonly kind: "below" | "zero" | "data";
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/**
 * Asks one layer after the other, top first, who has the byte at `offset`, and how far that goes on. A layer that ends before the one above it hides
 * what is below.
 *
 * @param layers - at least one; all but the first are below the one before
 * @param length - ≥ 1; the range lies within the first layer
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when a layer shows the one below it at another offset
 */
export function* layeredRun(layers: readonly FormatAccess[], offset: number, length: number): Io<LayeredRun> {
  let most = length;
  for (const layer of layers) {
    const mapping = yield* layer.io.getShallowMapping(offset, most);
    switch (mapping.kind) {
      case "eof":
        return { kind: "zero", length: most };
      case "zero":
        return { kind: "zero", length: mapping.length };
      case "raw":
      case "special":
        return { kind: "data", length: mapping.length };
      case "indirect":
        if (mapping.offset !== offset) {
          throw new ImgError("ERR_IMG_UNSUPPORTED", `${String(layer)} shows the image below it at another offset`);
        }
        most = mapping.length;
    }
  }
  return { kind: "below", length: most };
}
