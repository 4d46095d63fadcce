import type { IoVector } from "@img/io-vector";
import type { HostCall } from "../host-call.ts";

/** Alignment that a file wants for direct I/O, in bytes. */
export interface DirectAlignment {
  readonly memory: number;
  readonly request: number;
}

/**
 * System calls that Node has not, or has at a price. They answer as the kernel does: what the call returns, or the negated errno. None of them throws.
 */
export interface NativeCalls {
  /**
   * Reads as much as the host has in memory, without waiting for a medium.
   * @returns bytes read from the start of `into`, or the negated errno: EAGAIN (nothing in memory), EOPNOTSUPP (never possible here)
   */
  readResident(fd: number, into: IoVector, offset: number): number;
  /**
   * Fills `bytes`, waiting for the host; Node's own call takes half as long again for few bytes.
   * @returns bytes read, which may be fewer, or the negated errno
   */
  read(fd: number, bytes: Uint8Array, offset: number): number;
  /**
   * Writes `bytes`, waiting for the host; Node's own call takes a quarter longer for few bytes.
   * @returns bytes written, which may be fewer, or the negated errno
   */
  write(fd: number, bytes: Uint8Array, offset: number): number;
  /** Where data starts at or after `offset`. ENXIO: nowhere; EINVAL: can't tell. Moves the descriptor's own position. */
  seekData(fd: number, offset: number): HostCall<number>;
  /** Where a hole starts at or after `offset`; the file's end counts as one. */
  seekHole(fd: number, offset: number): HostCall<number>;
  /** Frees a range, which then reads as zero. Doesn't change the length. */
  punchHole(fd: number, offset: number, length: number): HostCall<number>;
  /** Makes a range read as zero and keeps or makes it allocated. Grows the file. */
  zeroRange(fd: number, offset: number, length: number): HostCall<number>;
  /** Reserves space for a range without changing what is in it. Grows the file. */
  allocate(fd: number, offset: number, length: number): HostCall<number>;
  /**
   * Copies a range of another file here, in the kernel: shared on file systems that can. EXDEV: not between these two.
   * @returns bytes copied; fewer at the end of the other file
   */
  copyRange(from: number, fromOffset: number, fd: number, offset: number, length: number): HostCall<number>;
  /**
   * Begins to write to the medium what is in memory of a range, and doesn't wait for it, unless the medium has too much to do. Nothing is durable
   * thereby, and no failure is taken from those who sync.
   */
  beginWriting(fd: number, offset: number, length: number): number;
  /** Tells a block device that a range isn't needed. */
  discardDevice(fd: number, offset: number, length: number): HostCall<number>;
  /** Length of a block device in bytes. */
  deviceSize(fd: number): number;
  /** Alignment for direct I/O; `undefined` where the kernel or the file system doesn't tell. */
  directAlignment(fd: number): DirectAlignment | undefined;
  /** Takes a shared lock of one byte that belongs to the open file (OFD lock), without waiting. */
  lockByte(fd: number, byte: number): number;
  /** Gives the lock of one byte back. */
  unlockByte(fd: number, byte: number): number;
  /** Whether another open file has a lock on one byte: 1 or 0. */
  isByteLocked(fd: number, byte: number): number;
}

/** errno values that matter here, negated as {@link NativeCalls} gives them. They are the same on all architectures that the helper runs on. */
export const failure = {
  EPERM: -1,
  ENXIO: -6,
  EAGAIN: -11,
  EACCES: -13,
  EBUSY: -16,
  EXDEV: -18,
  ENODEV: -19,
  EINVAL: -22,
  ENOTTY: -25,
  ETXTBSY: -26,
  ENOLCK: -37,
  ENOSYS: -38,
  EOPNOTSUPP: -95,
} as const;

/** Whether the host says that it can't do this at all, as opposed to having failed. */
export function isUnsupported(result: number): boolean {
  return (
    result === failure.EOPNOTSUPP ||
    result === failure.ENOSYS ||
    result === failure.ENODEV ||
    result === failure.ENOTTY ||
    result === failure.EINVAL
  );
}

/**
 * Whether the host says that it won't do this to a file now, which it may still let be written: a device whose pages are in use, a file that may only
 * get longer or is sealed, one that is swapped to.
 */
export function isRefused(result: number): boolean {
  return result === failure.EBUSY || result === failure.EPERM || result === failure.ETXTBSY;
}
