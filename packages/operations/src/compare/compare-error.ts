import { ImgError, isImgError } from "@img/format-core";

/** Where a comparison failed. */
export interface CompareFailure {
  /** What failed: looking up where the bytes are, or reading them. */
  readonly operation: "map" | "read";
  /** Which of the two images. */
  readonly image: "first" | "second";
  /** Bytes from the start of the disk. */
  readonly offset: number;
}

/** A comparison that could not be finished because an image could not be read. Its `code` is that of the `cause`. */
export class CompareError extends ImgError {
  readonly failure: CompareFailure;

  constructor(failure: CompareFailure, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(isImgError(cause) ? cause.code : "EIO", reason, { cause });
    this.failure = failure;
  }

  // ImgError recognises every one of its kind, which is too much here
  static override [Symbol.hasInstance](value: unknown): boolean {
    return ImgError[Symbol.hasInstance](value) && "failure" in (value as object);
  }
}
