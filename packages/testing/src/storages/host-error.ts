import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/**
 * An error as Node's file system throws it: with `code`, `errno` and `syscall`.
 * @param code - errno's name, for example `"EIO"`; a name that this host doesn't know gets no number
 * @param doing - the system call, for the message
 */
export function hostError(code: string, doing: string): Error {
  const positive = (constants.errno as Readonly<Record<string, number>>)[code];
  const reason = positive === undefined ? "injected" : (getSystemErrorMap().get(-positive)?.[1] ?? "injected");
  return Object.assign(new Error(`${code}: ${reason}, ${doing}`), {
    code,
    syscall: doing,
    ...(positive === undefined ? {} : { errno: -positive }),
  });
}
