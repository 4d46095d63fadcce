import { AssertionError } from "node:assert/strict";
import { ImgError, type Io } from "@img/format-core";

/**
 * Runs an operation that has to fail, and gives its error.
 * @param what - names the operation in the message
 * @param codes - the codes that the error may have; none: any error will do
 * @throws AssertionError when the operation succeeds, or fails in another way
 */
export function* expectFailure(io: Io<unknown>, what: string, ...codes: readonly string[]): Io<unknown> {
  let failure: unknown;
  try {
    yield* io;
  } catch (error) {
    if (error instanceof AssertionError) {
      throw error;
    }
    failure = error;
  }
  const wanted = codes.length === 0 ? "an error" : codes.join(" or ");
  if (failure === undefined) {
    throw new AssertionError({ message: `${what}: succeeded, expected ${wanted}`, operator: "expectFailure" });
  }
  if (codes.length > 0 && !(failure instanceof ImgError && codes.includes(failure.code))) {
    throw new AssertionError({
      message: `${what}: failed with ${describeError(failure)}, expected ${wanted}`,
      actual: failure,
      operator: "expectFailure",
    });
  }
  return failure;
}

/** An error in a few words: its code, if it has one, and its message. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const code = "code" in error ? String(error.code) : error.name;
  return `${code} (${error.message})`;
}
