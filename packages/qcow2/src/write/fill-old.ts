import { IoVector } from "@img/io-vector";
import { writeStorage, zeroStorage, type Io } from "@img/format-core";
import type { WriteContext } from "./write-context.ts";

/** Old contents are copied in pieces of at most so many bytes. */
const pieceLength = 2 * 1024 * 1024;

/**
 * Puts what a guest range holds into its place in a host cluster.
 * @param fresh - nothing was ever written to the host range: it reads as zero
 */
export function* fillOld(context: WriteContext, guest: number, length: number, host: number, fresh: boolean): Io<void> {
  for (let done = 0; done < length; done += pieceLength) {
    const part = Math.min(pieceLength, length - done);
    yield* fillPiece(context, guest + done, part, host + done, fresh);
  }
}

function* fillPiece(context: WriteContext, guest: number, length: number, host: number, fresh: boolean): Io<void> {
  if (yield* context.readsAsZero(guest, length)) {
    yield* fillZero(context, host, length, fresh);
    return;
  }
  const vector = IoVector.single(new Uint8Array(length));
  yield* context.readOld(vector, guest);
  if (vector.isZero()) {
    yield* fillZero(context, host, length, fresh);
  } else {
    yield* writeStorage(context.data, vector, host);
  }
}

function* fillZero(context: WriteContext, host: number, length: number, fresh: boolean): Io<void> {
  if (!fresh) {
    // a data file may have holes wherever it reads as zero
    yield* zeroStorage(context.data, host, length, { allocate: !context.layout.externalDataFile });
  }
}

/** Whether nothing was ever written at or behind a host offset: the storage ends before it. */
export function isFresh(context: WriteContext, host: number): boolean {
  return host >= context.data.size;
}
