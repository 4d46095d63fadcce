import { fdatasyncSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { PackedPieces } from "./piece.ts";
import { inThreads } from "./threads.ts";

/**
 * The least that a program has to do that copies a disk, or compares two: `copy leave|sync|compare SOURCE TARGET SIZE PIECES THREADS`. It knows beforehand
 * where data is, and no format.
 */
const [mode = "", source = "", target = "", size = "0", plan = "", threads = "1"] = process.argv.slice(2);

const pieces = new PackedPieces(plan);
const from = openSync(source, "r");
const to = openSync(target, mode === "compare" ? "r" : isMainThread ? "w" : "r+");
if (isMainThread && mode !== "compare") {
  ftruncateSync(to, Number(size));
}

const longest = 2 ** 18;
const [buffer, other] = [Buffer.allocUnsafeSlow(longest), Buffer.alloc(longest)];

function copyPiece(at: number, length: number, into: number): void {
  readSync(from, buffer, 0, length, at);
  // a hole stays one
  if (buffer.compare(other, 0, length, 0, length) !== 0) {
    writeSync(to, buffer, 0, length, into);
  }
}

function comparePiece(at: number, length: number, with_: number): void {
  readSync(from, buffer, 0, length, at);
  readSync(to, other, 0, length, with_);
  if (buffer.compare(other, 0, length, 0, length) !== 0) {
    throw new Error(`${source} and ${target}: differ`);
  }
}

const each = mode === "compare" ? comparePiece : copyPiece;
inThreads(
  Number(threads),
  ({ take }) => {
    for (let piece = pieces.at(take()); piece !== undefined; piece = pieces.at(take())) {
      each(piece.source, piece.length, piece.target);
    }
  },
  () => {
    if (mode === "sync") {
      fdatasyncSync(to);
    }
  },
);
