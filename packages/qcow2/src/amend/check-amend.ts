import { ImgError } from "@img/format-core";
import type { Qcow2Info } from "../qcow2-info.ts";
import type { Qcow2AmendOptions } from "./amend-options.ts";

/** What an image is to be: every option filled in. */
export interface Amendment {
  readonly version: 2 | 3;
  readonly refcountBits: number;
  readonly lazyRefcounts: boolean;
  readonly dataFileName: string | undefined;
  readonly dataFileRaw: boolean;
}

/**
 * What the options make of an image, checked before anything is changed. Whether version 2 can hold its clusters isn't known yet.
 * @throws ImgError `ERR_IMG_UNSUPPORTED`, with a `feature` that says what stands in the way
 */
export function checkAmend(info: Qcow2Info, options: Qcow2AmendOptions): Amendment {
  const { compat, refcountBits = info.refcountBits, dataFileName } = options;
  const version = compat === undefined ? info.version : compat === "0.10" ? 2 : 3;
  const order = Math.log2(refcountBits);
  if (!Number.isInteger(order) || order < 0 || order > 6) {
    throw refusal("refcount bits", `refcounts of ${String(refcountBits)} bits: expected a power of two from 1 to 64`);
  }
  if (dataFileName !== undefined && !info.externalDataFile) {
    throw refusal("data file name", "the image has no external data file whose name could be changed");
  }
  if (options.dataFileRaw === true && !info.dataFileRaw) {
    throw refusal("raw data file", "an external data file that isn't a raw image of the disk can't become one");
  }
  const lazyRefcounts = options.lazyRefcounts ?? (version === 3 && info.lazyRefcounts);
  const amendment: Amendment = {
    version,
    refcountBits,
    lazyRefcounts,
    dataFileName: dataFileName === undefined ? info.dataFile : (dataFileName ?? undefined),
    dataFileRaw: options.dataFileRaw ?? info.dataFileRaw,
  };
  if (version === 2) {
    checkVersion2(info, amendment);
  }
  return amendment;
}

function checkVersion2(info: Qcow2Info, { refcountBits, lazyRefcounts }: Amendment): void {
  const obstacles: readonly (readonly [boolean, string, string])[] = [
    [refcountBits !== 16, "refcount width", `refcounts of ${String(refcountBits)} bits`],
    [lazyRefcounts, "lazy refcounts", "lazy refcounts"],
    [info.externalDataFile, "external data file", "an external data file"],
    [
      info.snapshots.some((snapshot) => !fitsVersion2(info, snapshot)),
      "snapshots",
      "a snapshot of a disk of another size, or with more than 4 GiB of VM state",
    ],
    [info.extendedL2, "extended L2 entries", "extended L2 entries"],
    [info.bitmaps.length > 0, "bitmaps", "bitmaps"],
  ];
  for (const [isThere, feature, what] of obstacles) {
    if (isThere) {
      throw refusal(feature, `${what}: version 2 images have none`);
    }
  }
}

function fitsVersion2(
  info: Qcow2Info,
  { diskSize, vmStateSize }: { readonly diskSize: number | undefined; readonly vmStateSize: number },
): boolean {
  return (diskSize ?? info.virtualSize) === info.virtualSize && vmStateSize <= 0xffff_ffff;
}

function refusal(feature: string, message: string): ImgError {
  return new ImgError("ERR_IMG_UNSUPPORTED", message, { feature });
}
