import { drive } from "./run-async.ts";
import { isPromise, type Io, type MaybePromise, type Step } from "./io.ts";
import { runSync } from "./run-sync.ts";

/**
 * Runs several operations, at most `limit` at a time, and gives their results in order. In the synchronous world they run one
 * after the other.
 *
 * After the first failure no further operation is begun; those in flight are waited for (nobody's buffer is touched
 * after this returns), then the first failure is thrown.
 *
 * @param operations - finitely many; asked for lazily and in order, as soon as one may begin
 * @param limit - operations in flight, ≥ 1
 */
export function* all<T>(operations: Iterable<Io<T>>, limit: number = Infinity): Io<T[]> {
  if (!(limit >= 1)) {
    throw new RangeError(`limit ${String(limit)}: expected at least 1`);
  }
  const step: Step<T[]> = {
    label: "operations in parallel",
    async: (signal) => driveAll(operations[Symbol.iterator](), limit, signal),
    sync: (signal) => Array.from(operations, (operation) => runSync(operation, signal)),
  };
  return (yield step) as T[];
}

function driveAll<T>(iterator: Iterator<Io<T>>, limit: number, signal: AbortSignal | undefined): MaybePromise<T[]> {
  const results: T[] = [];
  let inFlight = 0;
  let started = 0;
  let exhausted = false;
  let failed = false;
  let failure: unknown;
  let finish: (() => void) | undefined;

  const fail = (error: unknown): void => {
    if (!failed) {
      failed = true;
      failure = error;
    }
  };
  const begin = (): void => {
    while (!exhausted && !failed && inFlight < limit) {
      try {
        const next = iterator.next();
        if (next.done === true) {
          exhausted = true;
          return;
        }
        const index = started++;
        const answer = drive(next.value, signal);
        if (!isPromise(answer)) {
          results[index] = answer;
          continue;
        }
        inFlight++;
        void answer
          .then((value) => {
            results[index] = value;
          }, fail)
          .then(goOn);
      } catch (error) {
        fail(error);
      }
    }
  };
  const goOn = (): void => {
    inFlight--;
    begin();
    if (inFlight === 0) {
      finish?.();
    }
  };
  const conclude = (): T[] => {
    if (failed) {
      iterator.return?.();
      throw failure;
    }
    return results;
  };

  begin();
  if (inFlight === 0) {
    return conclude();
  }
  return new Promise<void>((resolve) => {
    finish = resolve;
  }).then(conclude);
}
