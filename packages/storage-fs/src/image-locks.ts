import { ImgError } from "@img/format-core";
import { failure, isUnsupported, type NativeCalls } from "./native/native-calls.ts";
import { nativeError } from "./native/native-error.ts";

/**
 * QEMU's permissions in the order of their bits. A user of an image holds a shared lock on byte 100 + bit for each permission that it has,
 * and on byte 200 + bit for each that it grants to nobody else; it looks at the opposite byte for whoever disagrees.
 */
const permissions = ["consistent read", "write", "write unchanged", "resize"] as const;

const heldBase = 100;
const refusedBase = 200;

/** What somebody wants to do with an image, as bits of permissions. */
interface Intent {
  readonly held: readonly number[];
  readonly refused: readonly number[];
}

// What QEMU takes for an image that it opens for reading or for writing.
const reader: Intent = { held: [0], refused: [1, 3] };
const writer: Intent = { held: [0, 1, 3], refused: [1, 3] };

/** Options of {@link lockImage}. */
export interface ImageLockOptions {
  readonly fd: number;
  readonly label: string;
  readonly path: string | undefined;
  readonly writable: boolean;
  readonly forceShare: boolean;
  /** Whether a file system without such locks is an error. */
  readonly required: boolean;
}

/**
 * Locks an open image like QEMU, so that neither disturbs the other. The locks belong to the open file and end when it is closed.
 *
 * @throws ImgError `ERR_IMG_LOCKED` when somebody uses the image in a way that excludes this one; `ERR_IMG_UNSUPPORTED` when locks are
 * required but the file system has none
 */
export function lockImage(native: NativeCalls, options: ImageLockOptions): void {
  if (options.forceShare && !options.writable) {
    return;
  }
  const intent = options.writable ? writer : reader;
  const bytes = [...intent.held.map((bit) => heldBase + bit), ...intent.refused.map((bit) => refusedBase + bit)];
  try {
    if (takeBytes(native, options, bytes)) {
      checkOthers(native, options, intent);
    }
  } catch (error) {
    for (const byte of bytes) {
      native.unlockByte(options.fd, byte);
    }
    throw error;
  }
}

/** Whether there are locks on this file system. */
function takeBytes(native: NativeCalls, options: ImageLockOptions, bytes: readonly number[]): boolean {
  for (const byte of bytes) {
    const result = native.lockByte(options.fd, byte);
    if (result === failure.EAGAIN || result === failure.EACCES) {
      throw locked(options, `Failed to lock byte ${String(byte)}`);
    }
    if (result < 0) {
      if (!options.required && (isUnsupported(result) || result === failure.ENOLCK)) {
        return false;
      }
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${options.label}: cannot be locked`, {
        cause: nativeError(result, "fcntl"),
        subject: options.label,
      });
    }
  }
  return true;
}

/** Ours are in place before others' are looked at, so of two that start at once at least one sees the other. */
function checkOthers(native: NativeCalls, options: ImageLockOptions, intent: Intent): void {
  for (const bit of intent.held) {
    if (native.isByteLocked(options.fd, refusedBase + bit) === 1) {
      throw locked(options, `Failed to get "${permissions[bit] ?? ""}" lock`);
    }
  }
  for (const bit of intent.refused) {
    if (native.isByteLocked(options.fd, heldBase + bit) === 1) {
      throw locked(options, `Failed to get shared "${permissions[bit] ?? ""}" lock`);
    }
  }
}

/** The two sentences are QEMU's: programs look for them. */
function locked(options: ImageLockOptions, reason: string): ImgError {
  const image = options.path ?? options.label;
  return new ImgError("ERR_IMG_LOCKED", `${options.label}: ${reason}; Is another process using the image [${image}]?`, {
    subject: options.label,
  });
}
