import { ImgError } from "./img-error.ts";

/**
 * Wraps an error of the host (Node's file system, a socket, a browser API) once, saying what was being done.
 *
 * The host's errno code stays the `code`, also when only the error's `cause` has one; an error that carries none is reported as `"EIO"`. An {@link ImgError},
 * an abort and a programmer's mistake pass unchanged: a `RangeError`, and a `TypeError` but for those of `fetch`, whose cause tells what the host has
 * refused.
 */
export function wrapHostError(error: unknown, doing: string, subject?: string): unknown {
  const causeCode = error instanceof Error ? hostCode(error.cause) : undefined;
  if (
    error instanceof ImgError ||
    error instanceof RangeError ||
    (error instanceof TypeError && causeCode === undefined)
  ) {
    return error;
  }
  const code = hostCode(error) ?? causeCode;
  if (code === "ABORT_ERR" || (error instanceof Error && error.name === "AbortError")) {
    return error;
  }
  return new ImgError(code ?? "EIO", `${doing}: ${reasonOf(error)}`, {
    cause: error,
    ...(subject === undefined ? {} : { subject }),
  });
}

/** Some values can't be made text: objects without a prototype, and those whose methods fail. */
function reasonOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return `a value of type ${typeof error}`;
  }
}

function hostCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) {
    return undefined;
  }
  return typeof error.code === "string" ? error.code : undefined;
}
