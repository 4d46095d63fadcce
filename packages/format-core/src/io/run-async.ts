import { isPromise, type Io, type MaybePromise, type Step } from "./io.ts";

/**
 * Drives `io` in the asynchronous world and gives a promise of its result.
 *
 * `signal` is looked at on safe points only: an aborted operation has either not begun a part or finished it. The promise
 * then rejects with the signal's reason.
 */
export function runAsync<T>(io: Io<T>, signal?: AbortSignal): Promise<T> {
  try {
    const answer = drive(io, signal);
    // not an async function: that would make a promise of its own, and wait for this one
    return isPromise(answer) ? answer : Promise.resolve(answer);
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Like {@link runAsync}, but answers at once (and throws at once) when nothing had to be waited for.
 */
export function drive<T>(io: Io<T>, signal?: AbortSignal): MaybePromise<T> {
  const state = advance(io, io.next(), signal);
  if (!(state instanceof Waiting)) {
    return state.value;
  }
  // one promise for the whole operation, however many of its steps have to be waited for
  return new Promise<T>((resolve, reject) => {
    const resume = (next: () => IteratorResult<Step, T>): void => {
      try {
        settle(advance(io, next(), signal));
      } catch (error) {
        reject(error);
      }
    };
    const onValue = (value: unknown): void => {
      resume(() => io.next(value));
    };
    const onError = (error: unknown): void => {
      resume(() => io.throw(error));
    };
    const settle = (reached: Waiting | IteratorReturnResult<T>): void => {
      if (reached instanceof Waiting) {
        reached.answer.then(onValue, onError);
      } else {
        resolve(reached.value);
      }
    };
    settle(state);
  });
}

/** Where an operation stands that has to wait for a promise. */
class Waiting {
  readonly answer: Promise<unknown>;

  constructor(answer: Promise<unknown>) {
    this.answer = answer;
  }
}

/** Goes on until the operation ends or has to wait. */
function advance<T>(
  io: Io<T>,
  reached: IteratorResult<Step, T>,
  signal: AbortSignal | undefined,
): Waiting | IteratorReturnResult<T> {
  let result = reached;
  while (result.done !== true) {
    let answer: unknown;
    try {
      if (result.value.safePoint === true) {
        signal?.throwIfAborted();
      }
      answer = result.value.async(signal);
    } catch (error) {
      result = io.throw(error);
      continue;
    }
    if (isPromise(answer)) {
      return new Waiting(answer);
    }
    result = io.next(answer);
  }
  return result;
}
