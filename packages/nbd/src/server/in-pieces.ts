import type { MaybePromise } from "@img/format-core";

/** Bytes that are changed without letting others go on: a multiple of all formats' clusters. */
const pieceLength = 64 * 1024 * 1024;
/** Milliseconds after which others get a turn. */
const turnAfter = 10;

/**
 * Does something with a long range piece by piece, so that other clients' requests have their turn in between.
 * @param work - done with one piece after the other; they end on multiples of 64 MiB
 * @param signal - looked at between pieces
 * @throws what the first piece that fails throws, and then the pieces before it are done; the signal's reason
 */
export function inPieces(
  offset: number,
  length: number,
  work: (offset: number, length: number) => MaybePromise<void>,
  signal: AbortSignal | undefined,
): MaybePromise<void> {
  return length <= pieceLength ? work(offset, length) : manyPieces(offset, offset + length, work, signal);
}

async function manyPieces(
  offset: number,
  end: number,
  work: (offset: number, length: number) => MaybePromise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let turn = Date.now();
  for (let at = offset; at < end;) {
    signal?.throwIfAborted();
    const stop = Math.min(end, at - (at % pieceLength) + pieceLength);
    await work(at, stop - at);
    at = stop;
    if (Date.now() - turn >= turnAfter) {
      await new Promise<void>((resolve) => {
        setTimeout(resolve, 0);
      });
      turn = Date.now();
    }
  }
}
