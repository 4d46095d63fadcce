import { AlignedBuffer, alignDown, perform, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { OpenFile } from "./open-file.ts";
import { writeDescriptor, writeDescriptorSync } from "./write-descriptor.ts";

const chunkLength = 1024 * 1024;

/** Writes zeroes. The range respects the file's limits. */
export function* writeZeroBytes(file: OpenFile, offset: number, length: number): Io<void> {
  const end = offset + length;
  const most = Math.min(chunkLength, length);
  const zeroes = file.limits.memory > 1 ? AlignedBuffer.allocate(most) : new Uint8Array(most);
  for (let at = offset; at < end;) {
    // chunks end on multiples of their length, so that all but the first and the last are aligned
    const stop = Math.min(alignDown(at, chunkLength) + chunkLength, end);
    yield* writeOnce(file, IoVector.single(zeroes.subarray(0, stop - at)), at);
    at = stop;
  }
}

function writeOnce(file: OpenFile, from: IoVector, offset: number): Io<void> {
  const { epoch } = file;
  return perform({
    label: file.label,
    sync: () => {
      writeDescriptorSync(file, from, offset);
      file.wrote(offset + from.length, epoch);
    },
    async: () =>
      new Promise<void>((resolve, reject) => {
        writeDescriptor(file, from, offset, (error) => {
          if (error === undefined) {
            file.wrote(offset + from.length, epoch);
            resolve();
          } else {
            reject(error);
          }
        });
      }),
  });
}
