import type { Io } from "@img/format-core";
import { callHost, type HostCall } from "./host-call.ts";
import { failure, isRefused, isUnsupported } from "./native/native-calls.ts";
import { nativeError } from "./native/native-error.ts";
import type { Change, OpenFile } from "./open-file.ts";

const EINTR = -4;

/**
 * Makes a system call that changes how a file is laid out.
 *
 * @returns whether the host could do it, and would; if not, nothing has changed
 * @throws the host's error if it tried and failed
 */
export function* changeFile(file: OpenFile, change: Change, call: HostCall<number> | undefined): Io<boolean> {
  if (call === undefined || file.refused.has(change)) {
    return false;
  }
  let result: number;
  do {
    result = yield* callHost(file.label, call, file.changesAtOnce);
  } while (result === EINTR);
  if (result >= 0) {
    return true;
  }
  if (isRefused(result)) {
    // writing is another matter, and says best what is wrong if it isn't; the next time, the host may do it
    return false;
  }
  if (!isUnsupported(result)) {
    throw nativeError(result, change);
  }
  // EINVAL may be about this range only
  if (result !== failure.EINVAL) {
    file.refused.add(change);
  }
  return false;
}
