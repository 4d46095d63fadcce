import type { Piece } from "../../children/bare/piece.ts";
import type { Images } from "../../input/images.ts";
import { writePieces } from "../../input/pieces.ts";

/** What a bare program is told about. */
interface Plan {
  /** The file with the pieces. */
  readonly path: string;
  /** Where the last of them ends in the target. */
  readonly end: number;
}

/** Writes pieces into a file of `images` when they are first asked for. */
export function planned(images: Images, name: string, find: () => readonly Piece[]): () => Plan {
  let made: Plan | undefined;
  return () => {
    if (made === undefined) {
      const pieces = find();
      const last = pieces.at(-1);
      const path = writePieces(images.path(`${name.replaceAll(/\W+/g, "-")}.pieces`), pieces);
      made = { path, end: last === undefined ? 0 : last.target + last.length };
    }
    return made;
  };
}
