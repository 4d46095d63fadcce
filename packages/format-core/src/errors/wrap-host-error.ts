import { ImgError } from "./img-error.ts";

/**
 * Wraps an error of the host (Node's file system, a socket, a browser API) once, saying what was being done.
 *
 * The host's errno code stays the `code`; an error that carries none is reported as `"EIO"`. An {@link ImgError}, an abort and a
 * programmer's mistake (`TypeError`, `RangeError`) pass unchanged.
 */
export function wrapHostError(error: unknown, doing: string, subject?: string): unknown {
  if (error instanceof ImgError || error instanceof TypeError || error instanceof RangeError) {
    return error;
  }
  const code = hostCode(error);
  if (code === "ABORT_ERR" || (error instanceof Error && error.name === "AbortError")) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new ImgError(code ?? "EIO", `${doing}: ${reason}`, {
    cause: error,
    ...(subject === undefined ? {} : { subject }),
  });
}

function hostCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) {
    return undefined;
  }
  return typeof error.code === "string" ? error.code : undefined;
}
