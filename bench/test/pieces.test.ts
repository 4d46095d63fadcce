import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PackedPieces, type Piece } from "../src/children/bare/piece.ts";
import { Images } from "../src/input/images.ts";
import { clusterPieces, codedPieces, dataPieces, packed, writePieces } from "../src/input/pieces.ts";

const MiB = 2 ** 20;
const size = 16;

let directory = "";
let images: Images;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-pieces-"));
  images = new Images(directory, size);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** The disk that results when each piece is brought to its place. */
function disk(path: string, pieces: readonly Piece[], code: (bytes: Buffer) => Buffer = (bytes) => bytes): Buffer {
  const [source, target] = [readFileSync(path), Buffer.alloc(size * MiB)];
  for (const { source: at, length, target: to, plain } of pieces) {
    const bytes = source.subarray(at, at + length);
    target.set(plain === true ? bytes : code(bytes), to);
  }
  return target;
}

describe("pieces of an image", () => {
  test("make up its disk", () => {
    const expected = readFileSync(images.raw());
    for (const format of ["raw", "qcow2"] as const) {
      const path = format === "raw" ? images.raw() : images.qcow2("plain");
      for (const pieces of [dataPieces(format, path), clusterPieces(format, path)]) {
        expect(disk(path, pieces).equals(expected)).toBe(true);
        // three of eight MiB are holes
        expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBe((size * MiB * 5) / 8);
      }
      expect(Math.max(...dataPieces(format, path).map(({ length }) => length))).toBe(MiB / 4);
      expect(new Set(clusterPieces(format, path).map(({ length }) => length))).toEqual(new Set([65_536]));
    }
  });

  test("that are packed follow each other", () => {
    const pieces = packed(dataPieces("raw", images.raw()));
    let end = 0;
    for (const { target, length } of pieces) {
      expect(target).toBe(end);
      end += length;
    }
    expect(end).toBe((size * MiB * 5) / 8);
  });

  test("that are compressed are where its tables say, and what doesn't become smaller is plain", () => {
    const path = images.qcow2("zlib");
    const pieces = codedPieces(path);
    expect(disk(path, pieces, inflateRawSync).equals(readFileSync(images.raw()))).toBe(true);
    // one of the five MiB of data is random
    expect(pieces.filter(({ plain }) => plain === true)).toHaveLength(pieces.length / 5);
  });

  test("are read by a bare program as they were written", () => {
    const pieces = [
      { source: 1, length: 2, target: 2 ** 52, plain: false },
      { source: 2 ** 40, length: 65_536, target: 0, plain: true },
    ];
    const read = new PackedPieces(writePieces(join(directory, "pieces"), pieces));
    expect([read.at(0), read.at(1), read.at(2)]).toEqual([...pieces, undefined]);
  });
});
