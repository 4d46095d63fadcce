import { ImgError, type StorageLimits } from "@img/format-core";
import { deviceAttribute } from "./device-size.ts";
import type { FileKind } from "./file-kind.ts";
import type { NativeCalls } from "./native/native-calls.ts";

/** What direct I/O is asked for where nobody tells: no common device has longer blocks, and pages are as long. */
const safeAlignment = 4096;

/** Longest piece that is better zeroed by writing it than by asking the file system. */
const longestBlock = 65536;

/** What limits depend on. */
export interface LimitedFile {
  readonly fd: number;
  readonly label: string;
  readonly kind: FileKind;
  readonly direct: boolean;
  /** `st_blksize` and `st_rdev` */
  readonly stats: { readonly blksize: bigint; readonly rdev: bigint };
}

/**
 * What a file asks of requests. Found out by asking, never by trying to write.
 *
 * Through the page cache everything goes. Direct I/O has the alignment that the kernel tells (`statx`), else the device's logical block
 * length, else 4096. Zeroing and discarding make sense in blocks of the file system, and work in blocks of a device only.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the alignment for direct I/O is one that no request can have
 */
export function fileLimits(file: LimitedFile, native: NativeCalls | undefined): StorageLimits {
  const { memory, request } = file.direct ? directAlignment(file, native) : { memory: 1, request: 1 };
  if (!isPowerOfTwo(memory) || !isPowerOfTwo(request)) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${file.label}: direct I/O in blocks of ${String(request)} bytes at ${String(memory)}: expected powers of two`,
      { subject: file.label },
    );
  }
  const block = native === undefined ? 1 : blockLength(file);
  const unit = Math.max(request, block);
  return { request, memory, zero: unit, discard: unit };
}

function directAlignment(
  file: LimitedFile,
  native: NativeCalls | undefined,
): { readonly memory: number; readonly request: number } {
  const told = native?.directAlignment(file.fd);
  if (told !== undefined) {
    return told;
  }
  const logical = file.kind === "block device" ? logicalBlockLength(file.stats.rdev) : undefined;
  return { memory: safeAlignment, request: logical ?? safeAlignment };
}

function blockLength(file: LimitedFile): number {
  if (file.kind === "block device") {
    return logicalBlockLength(file.stats.rdev) ?? safeAlignment;
  }
  const length = Number(file.stats.blksize);
  return isPowerOfTwo(length) ? Math.min(length, longestBlock) : safeAlignment;
}

/** Partitions have no queue of their own; their disk's is one directory up. */
function logicalBlockLength(rdev: bigint): number | undefined {
  const name = "queue/logical_block_size";
  const length = Number(deviceAttribute(rdev, name) ?? deviceAttribute(rdev, `../${name}`));
  return isPowerOfTwo(length) ? length : undefined;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}
