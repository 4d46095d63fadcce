import { readFileSync } from "node:fs";

/** Bytes that a bare program takes from one place to another. */
export interface Piece {
  /** Where they are in the source. */
  readonly source: number;
  /** How many the source has. */
  readonly length: number;
  /** Where they belong in the target. */
  readonly target: number;
  /** It is no coded cluster although others are. Default `false`. */
  readonly plain?: boolean;
}

/** Pieces as a file has them: four numbers of 64 bits each, so that reading them costs a program next to nothing. */
export function packPieces(pieces: readonly Piece[]): Uint8Array {
  const numbers = pieces.flatMap(({ source, length, target, plain }) => [
    source,
    length,
    target,
    plain === true ? 1 : 0,
  ]);
  return new Uint8Array(Float64Array.from(numbers).buffer);
}

/** Pieces in a file of {@link packPieces}. */
export class PackedPieces {
  readonly #numbers: Float64Array;

  constructor(path: string) {
    const bytes = readFileSync(path);
    this.#numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  }

  /** @returns `undefined` behind the last */
  at(index: number): Piece | undefined {
    const [source, length, target, plain] = this.#numbers.subarray(4 * index, 4 * index + 4);
    return source === undefined || length === undefined || target === undefined
      ? undefined
      : { source, length, target, plain: plain === 1 };
  }
}
