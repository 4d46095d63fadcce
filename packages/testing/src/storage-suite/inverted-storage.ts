import { isPromise, StorageDecorator, type MaybePromise } from "@img/format-core";
import type { IoVector } from "@img/io-vector";

/** Reads as the inverse of what the inner storage holds: whoever looks behind it has the wrong bytes. */
export class InvertedStorage extends StorageDecorator {
  override read(into: IoVector, offset: number): MaybePromise<void> {
    const answer = super.read(into, offset);
    if (isPromise(answer)) {
      return answer.then(() => {
        invert(into);
      });
    }
    invert(into);
  }

  override readSync(into: IoVector, offset: number): void {
    super.readSync?.(into, offset);
    invert(into);
  }
}

function invert(vector: IoVector): void {
  for (const buffer of vector.buffers) {
    for (const [index, byte] of buffer.entries()) {
      buffer[index] = ~byte;
    }
  }
}
