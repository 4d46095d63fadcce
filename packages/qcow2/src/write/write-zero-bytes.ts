import { IoVector } from "@img/io-vector";
import { writeStorage, type Io, type Storage } from "@img/format-core";

const chunkLength = 1024 * 1024;

/** Writes zeroes as data, whatever the storage could do better. */
export function* writeZeroBytes(storage: Storage, offset: number, length: number): Io<void> {
  const zeroes = new Uint8Array(Math.min(length, chunkLength));
  for (let done = 0; done < length; done += chunkLength) {
    const part = zeroes.subarray(0, Math.min(chunkLength, length - done));
    yield* writeStorage(storage, IoVector.from(part), offset + done);
  }
}
