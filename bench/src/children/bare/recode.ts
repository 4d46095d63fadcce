import { ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { coders } from "./coder.ts";
import { PackedPieces } from "./piece.ts";
import { inThreads } from "./threads.ts";

/**
 * The least that a program has to do that decompresses a disk, or compresses it: `recode place|append CODER SOURCE TARGET SIZE PIECES THREADS`. Each piece is a cluster. Coded
 * ones go to their places, or one behind the other.
 */
const [mode = "", coder = "", source = "", target = "", size = "0", plan = "", threads = "1"] = process.argv.slice(2);

const pieces = new PackedPieces(plan);
const from = openSync(source, "r");
const to = openSync(target, isMainThread ? "w" : "r+");
if (isMainThread) {
  ftruncateSync(to, Number(size));
}

inThreads(Number(threads), ({ take, reserve }) => {
  const code = coders[coder as keyof typeof coders]();
  const buffer = new Uint8Array(2 ** 17);
  for (let piece = pieces.at(take()); piece !== undefined; piece = pieces.at(take())) {
    const length = readSync(from, buffer, 0, piece.length, piece.source);
    const bytes = buffer.subarray(0, length);
    const coded = piece.plain === true ? bytes : code(bytes);
    writeSync(to, coded, 0, coded.length, mode === "append" ? reserve(coded.length) : piece.target);
  }
});
