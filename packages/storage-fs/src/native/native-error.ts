import { getSystemErrorMap } from "node:util";

/**
 * The error that Node would have thrown for a failed system call.
 *
 * @param result - the negated errno
 */
export function nativeError(result: number, syscall: string): Error {
  const [code, message] = getSystemErrorMap().get(result) ?? [`E${String(-result)}`, "unknown error"];
  return Object.assign(new Error(`${code}: ${message}, ${syscall}`), { code, errno: result, syscall });
}
