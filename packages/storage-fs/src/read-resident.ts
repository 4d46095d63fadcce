import type { IoVector } from "@img/io-vector";
import { failure } from "./native/native-calls.ts";
import type { OpenFile } from "./open-file.ts";

/** Longer reads spend more time copying than a trip through the thread pool takes. */
const longestRead = 256 * 1024;

/**
 * Reads what the host has in memory, without waiting for a medium.
 *
 * @returns bytes at the start of `into` that are there now; 0 where the host can't tell
 */
export function readResident(file: OpenFile, into: IoVector, offset: number): number {
  const { native } = file;
  if (native === undefined || file.noResidentReads || into.length > longestRead) {
    return 0;
  }
  const count = native.readResident(file.fd, into, offset);
  if (count === failure.EOPNOTSUPP || count === failure.ENOSYS || count === failure.EINVAL) {
    file.noResidentReads = true;
  }
  // 0 may mean the end, or a kernel (5.9) that says so for what it hasn't in memory: the caller finds out
  return Math.max(count, 0);
}
