import { drive, perform, runSync, type Io } from "@img/format-core";

/**
 * Runs `io` as the one part of an operation that may be aborted: whatever the operation does before and afterwards, above all to leave things
 * in order, is done in any case.
 *
 * @param signal - default: that of the whole operation, if it has one
 */
export function abortable<T>(io: Io<T>, signal: AbortSignal | undefined): Io<T> {
  return perform({
    label: "a part of an operation",
    async: (whole) => drive(io, signal ?? whole),
    sync: (whole) => runSync(io, signal ?? whole),
  });
}
