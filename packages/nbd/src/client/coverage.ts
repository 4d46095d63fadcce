import { ImgError } from "@img/format-core";
import { protocolError } from "../protocol/protocol-error.ts";

/**
 * Pieces that may be there at once, apart from each other. Chunks are multiples of 512 bytes, requests 2 MiB at most: twice as many as even the strangest
 * order makes.
 */
const piecesLimit = 4096;

/** Which bytes of a request have come, in whatever order they do. */
export class Coverage {
  /** Where ranges begin and end, ascending and apart: begin, end, begin, end, … */
  readonly #bounds: number[] = [];

  /**
   * @param offset - in bytes
   * @param length - in bytes, ≥ 1
   * @throws ImgError `EPROTO` when some of it has come before; `ERR_IMG_LIMIT` when it is in too many pieces
   */
  add(offset: number, length: number): void {
    const bounds = this.#bounds;
    const end = offset + length;
    let at = bounds.length;
    while (at > 0 && (bounds[at - 2] ?? 0) >= end) {
      at -= 2;
    }
    // the range before ends at `at - 1`, the one behind begins at `at`
    const before = bounds[at - 1] ?? -1;
    if (before > offset) {
      throw protocolError(`${length} bytes at 0x${offset.toString(16)} that have come before, at least in part`);
    }
    const touchesBefore = before === offset;
    const touchesBehind = bounds[at] === end;
    if (touchesBefore && touchesBehind) {
      bounds.splice(at - 1, 2);
    } else if (touchesBefore) {
      bounds[at - 1] = end;
    } else if (touchesBehind) {
      bounds[at] = offset;
    } else {
      bounds.splice(at, 0, offset, end);
    }
    if (bounds.length > 2 * piecesLimit) {
      throw new ImgError("ERR_IMG_LIMIT", `data of one request in more than ${piecesLimit} pieces`);
    }
  }

  /** Whether everything from `offset` on has come, and nothing else. */
  isWhole(offset: number, length: number): boolean {
    return this.#bounds.length === 2 && this.#bounds[0] === offset && this.#bounds[1] === offset + length;
  }
}
