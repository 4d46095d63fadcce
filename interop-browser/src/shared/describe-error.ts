import { isImgError } from "@img/format-core";

/** What to tell a person about a failure: its code, its message, and a hint where there is one. */
export interface ErrorDescription {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** Describes whatever was thrown. */
export function describeError(error: unknown): ErrorDescription {
  const message = error instanceof Error ? error.message : String(error);
  if (!isImgError(error)) return { code: error instanceof Error ? error.name : "Error", message };
  const hint = hints[error.code];
  return { code: error.code, message, ...(hint === undefined ? {} : { hint }) };
}

const hints: Readonly<Record<string, string>> = {
  ERR_IMG_DENIED: "Choose the files that it names as well. Nothing is opened that wasn't chosen.",
  ERR_IMG_UNKNOWN_FORMAT: "This page knows qcow2 and raw images.",
};
