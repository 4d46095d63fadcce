import { ImgError } from "@img/format-core";
import { clusterBitsRange, leastClusterBitsWithSubclusters, limits, sectorSize } from "../header/layout.ts";
import type { Qcow2CreateOptions } from "./create-options.ts";

/** Create options, complete and checked. Sizes are bytes. */
export interface NewImage {
  readonly version: 2 | 3;
  readonly size: number;
  readonly clusterBits: number;
  readonly refcountOrder: number;
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly compressionType: "zlib" | "zstd";
  readonly backingFile: { readonly name: string; readonly format: string } | undefined;
  readonly dataFileName: string | undefined;
  readonly dataFileRaw: boolean;
}

/**
 * Fills in the defaults and refuses what can't be, in the order in which qemu-img does.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` naming the option, or the options that exclude each other; `RangeError` for a size that isn't a
 * safe integer ≥ 0.
 */
export function planNewImage(options: Qcow2CreateOptions): NewImage {
  const planned: NewImage = {
    version: options.compat === "0.10" ? 2 : 3,
    size: checkSize(options.size ?? 0),
    clusterBits: clusterBitsOf(options.clusterSize ?? 65536, options.extendedL2 === true),
    refcountOrder: refcountOrderOf(options.refcountBits ?? 16),
    lazyRefcounts: options.lazyRefcounts ?? false,
    extendedL2: options.extendedL2 ?? false,
    compressionType: options.compressionType ?? "zlib",
    backingFile: options.backingFile,
    dataFileName: options.dataFileName,
    dataFileRaw: options.dataFileRaw ?? false,
  };
  if (planned.version === 2) {
    checkVersion2(planned);
  }
  checkFiles(planned, options);
  return planned;
}

function checkSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new RangeError(`size ${String(size)}: expected an integer from 0 to 2^53-1`);
  }
  if (size % sectorSize !== 0) {
    throw unsupported(`size ${String(size)}: expected a multiple of ${String(sectorSize)}`);
  }
  return size;
}

function clusterBitsOf(clusterSize: number, extendedL2: boolean): number {
  const bits = Math.log2(clusterSize);
  if (!Number.isInteger(bits) || bits < clusterBitsRange.least || bits > clusterBitsRange.most) {
    throw unsupported(`cluster size ${String(clusterSize)}: expected a power of two from 512 to 2097152`);
  }
  if (extendedL2 && bits < leastClusterBitsWithSubclusters) {
    throw unsupported(`extended L2 entries with cluster size ${String(clusterSize)}: expected at least 16384`);
  }
  return bits;
}

function refcountOrderOf(refcountBits: number): number {
  const order = Math.log2(refcountBits);
  if (!Number.isInteger(order) || order < 0 || order > 6) {
    throw unsupported(`refcounts of ${String(refcountBits)} bits: expected a power of two from 1 to 64`);
  }
  return order;
}

function checkVersion2(planned: NewImage): void {
  const conflicts: readonly (readonly [boolean, string])[] = [
    [planned.lazyRefcounts, "lazy refcounts"],
    [planned.refcountOrder !== 4, `refcounts of ${String(2 ** planned.refcountOrder)} bits`],
    [planned.dataFileName !== undefined, "external data files"],
    [planned.compressionType !== "zlib", `${planned.compressionType} compression`],
    [planned.extendedL2, "extended L2 entries"],
  ];
  for (const [wanted, feature] of conflicts) {
    if (wanted) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${feature} with compat 0.10: expected compat 1.1`, { feature });
    }
  }
}

function checkFiles(planned: NewImage, options: Qcow2CreateOptions): void {
  const { backingFile, dataFileName, dataFileRaw, extendedL2 } = planned;
  const preallocation = options.preallocation ?? "none";
  if (backingFile !== undefined) {
    if (preallocation !== "none" && preallocation !== "zero" && !extendedL2) {
      throw unsupported(`preallocation ${preallocation} with a backing file: expected extended L2 entries as well`);
    }
    if (backingFile.name === "") {
      throw unsupported("the backing file's name is empty");
    }
    const formatLength = new TextEncoder().encode(backingFile.format).length;
    if (formatLength === 0 || formatLength > limits.backingFormatLength) {
      throw unsupported(
        `backing format name of ${String(formatLength)} bytes: expected 1 to ${String(limits.backingFormatLength)}`,
      );
    }
  }
  if (dataFileRaw && dataFileName === undefined) {
    throw unsupported("a raw data file without an external data file");
  }
  if (dataFileRaw && backingFile !== undefined) {
    throw unsupported("a raw data file with a backing file");
  }
  if (dataFileName === "") {
    throw unsupported("the external data file's name is empty");
  }
  if (dataFileName === undefined && options.dataFile !== undefined && options.dataFile !== null) {
    throw unsupported("an external data file without a name for it");
  }
}

function unsupported(message: string): ImgError {
  return new ImgError("ERR_IMG_UNSUPPORTED", message);
}
