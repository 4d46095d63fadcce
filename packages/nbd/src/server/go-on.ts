import { isPromise, type MaybePromise } from "@img/format-core";

/** Goes on with an answer: at once if it is there, without a promise. */
export function goOn<T, R>(answer: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromise(answer) ? answer.then(next) : next(answer);
}
