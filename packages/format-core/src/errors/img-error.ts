/** The codes that this family gives to its own errors. They are stable; messages are not. */
export type ImgErrorCode =
  | "ERR_IMG_CORRUPT"
  | "ERR_IMG_UNSUPPORTED"
  | "ERR_IMG_UNKNOWN_FORMAT"
  | "ERR_IMG_DENIED"
  | "ERR_IMG_READ_ONLY"
  | "ERR_IMG_OUT_OF_RANGE"
  | "ERR_IMG_CLOSED"
  | "ERR_IMG_BUSY"
  | "ERR_IMG_ASYNC_ONLY"
  | "ERR_IMG_NO_SPACE"
  | "ERR_IMG_LOCKED"
  | "ERR_IMG_LIMIT";

/** What an {@link ImgError} can tell beside its message. */
export interface ImgErrorDetails {
  /** The error underneath, usually the host's. */
  readonly cause?: unknown;
  /** Name of the feature that is refused, where the image gives one (for example from its feature name table). */
  readonly feature?: string;
  /** Bit number of the refused feature. */
  readonly bit?: number;
  /** Label of the storage, or name of the image, that the error is about. */
  readonly subject?: string;
}

/** Shared by all copies of the package, so that `instanceof` works across them. */
const brand = Symbol.for("@img/format-core/ImgError");

/**
 * The one error class of the family.
 *
 * `code` is an {@link ImgErrorCode}, or the host's own errno code (`"ENOENT"`, `"EIO"`, …) when the host refused an
 * operation; the host's error is then the `cause`. `instanceof` works across copies of the package.
 */
export class ImgError extends Error {
  static {
    this.prototype.name = "ImgError";
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  readonly code: ImgErrorCode | (string & {});
  readonly feature: string | undefined;
  readonly bit: number | undefined;
  readonly subject: string | undefined;

  constructor(code: ImgErrorCode | (string & {}), message: string, details: ImgErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.feature = details.feature;
    this.bit = details.bit;
    this.subject = details.subject;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** Whether `error` is an {@link ImgError}, optionally with this `code`. */
export function isImgError(error: unknown, code?: ImgErrorCode | (string & {})): error is ImgError {
  return error instanceof ImgError && (code === undefined || error.code === code);
}
