import type { Io } from "@img/format-core";
import { callHost } from "./host-call.ts";
import { failure, isRefused, isUnsupported } from "./native/native-calls.ts";
import { nativeError } from "./native/native-error.ts";
import type { OpenFile } from "./open-file.ts";

const EINTR = -4;

/** A range of an open file. */
export interface FileRange {
  readonly file: OpenFile;
  readonly offset: number;
  readonly length: number;
}

/**
 * Has the kernel copy a range of one file into another one.
 *
 * @returns bytes copied, from the start of the range on; 0 where the host can't do it between these two
 * @throws the host's error if it tried and failed
 */
export function* copyFileRange(file: OpenFile, source: FileRange, offset: number): Io<number> {
  const { native, epoch } = file;
  if (native === undefined || file.kind !== "file" || source.file.kind !== "file") {
    return 0;
  }
  let done = 0;
  while (done < source.length) {
    const from = source.offset + done;
    const call = native.copyRange(source.file.fd, from, file.fd, offset + done, source.length - done);
    const result = yield* callHost(file.label, call, source.length <= file.longestAtOnce);
    if (result === EINTR) {
      continue;
    }
    // nothing: the other file ends here
    if (result === 0 || result === failure.EXDEV || isUnsupported(result) || isRefused(result)) {
      break;
    }
    if (result < 0) {
      throw nativeError(result, "copy range");
    }
    done += result;
    file.wrote(offset + done, epoch);
  }
  return done;
}
