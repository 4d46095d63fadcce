import {
  closeAfterFailure,
  closeStorage,
  readStorage,
  resizeStorage,
  storageExtents,
  writeStorage,
  type Io,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { FileOpenOptions, FileStorage } from "@img/storage-fs";
import { openFile } from "./open-file.ts";

/** Bytes that are copied at once. */
const chunkLength = 1024 * 1024;

/** Replaces all that is in `target` by what is in the file at `path`. Holes stay holes. */
export function* copyFile(path: string, target: FileStorage, options: FileOpenOptions): Io<void> {
  const source = yield* openFile(path, options);
  try {
    yield* resizeStorage(target, 0);
    yield* resizeStorage(target, source.size);
    const buffer = new Uint8Array(chunkLength);
    for (let at = 0; at < source.size;) {
      for (const { kind, offset, length } of yield* storageExtents(source, at, source.size - at)) {
        for (let done = 0; kind === "data" && done < length; done += chunkLength) {
          const part = IoVector.single(buffer.subarray(0, Math.min(chunkLength, length - done)));
          yield* readStorage(source, part, offset + done);
          yield* writeStorage(target, part, offset + done);
        }
        at = offset + length;
      }
    }
  } catch (error) {
    yield* closeAfterFailure(source);
    throw error;
  }
  yield* closeStorage(source);
}
