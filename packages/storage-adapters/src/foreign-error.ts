import { ImgError } from "@img/format-core";

/** What errors without an errno code mean: the names of browsers' exceptions, and the codes of packages that have their own. */
const meanings: Readonly<Record<string, string>> = {
  ELOCKED: "ERR_IMG_LOCKED",
  NoModificationAllowedError: "ERR_IMG_READ_ONLY",
  NotAllowedError: "EACCES",
  NotFoundError: "ENOENT",
  QuotaExceededError: "ENOSPC",
  TimeoutError: "ETIMEDOUT",
};

/**
 * Whatever a foreign object threw, as an error of ours that says what was being done.
 *
 * Its errno code stays the `code`, also when only its `cause` has one (as errors of `fetch`); else its name decides, else it is `"EIO"`. An
 * {@link ImgError} and an abort pass unchanged. A `TypeError` does not: the arguments were ours, so it is no mistake of the caller.
 *
 * @param doing - for example `read 512 bytes at 0x0`
 * @param label - the storage's
 */
export function foreignError(error: unknown, doing: string, label: string): unknown {
  if (error instanceof ImgError || nameOf(error) === "AbortError") {
    return error;
  }
  const found = errnoOf(error) ?? errnoOf(causeOf(error)) ?? nameOf(error);
  const code = meanings[found] ?? (/^E[A-Z0-9_]+$/.test(found) ? found : "EIO");
  return new ImgError(code, `${label}: cannot ${doing}: ${reasonOf(error)}`, { cause: error, subject: label });
}

/** Some values can't be made text: objects without a prototype, and those whose methods fail. */
function reasonOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return `a value of type ${typeof error}`;
  }
}

function errnoOf(error: unknown): string | undefined {
  // the `code` of a DOMException is a number from another age
  return hasField(error, "code") && typeof error.code === "string" ? error.code : undefined;
}

function causeOf(error: unknown): unknown {
  return hasField(error, "cause") ? error.cause : undefined;
}

function nameOf(error: unknown): string {
  return hasField(error, "name") && typeof error.name === "string" ? error.name : "";
}

function hasField<K extends string>(value: unknown, name: K): value is Record<K, unknown> {
  return typeof value === "object" && value !== null && name in value;
}
