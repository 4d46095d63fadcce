import type { MeasureOptions } from "@img/operations";
import { CommandError } from "../errors/command-error.ts";
import type { CreateOptionValues } from "./create-options.ts";
import { parsePreallocation } from "./preallocation.ts";

/**
 * What the options for creating a qcow2 image mean for its size.
 * @throws CommandError in qemu-img's words, and for encryption
 */
export function measureOptions(values: CreateOptionValues): MeasureOptions {
  const preallocation = parsePreallocation(values.get("preallocation"), "qcow2");
  const extendedL2 = values.get("extended_l2") === true;
  const clusterSize = checkClusterSize(numberOr(values.get("cluster_size"), 65536), extendedL2);
  const compat = parseCompat(values.get("compat"));
  const refcountBits = checkRefcountBits(numberOr(values.get("refcount_bits"), 16), compat);
  if (values.has("encrypt.format")) {
    throw new CommandError("encrypted images can't be measured yet [ERR_IMG_UNSUPPORTED]");
  }
  if (compat === "0.10" && extendedL2) {
    throw new CommandError(
      "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)",
    );
  }
  return {
    clusterSize,
    refcountBits,
    compat,
    extendedL2,
    preallocation,
    hasBacking: values.has("backing_file"),
  };
}

function numberOr(value: string | number | boolean | undefined, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function checkClusterSize(clusterSize: number, extendedL2: boolean): number {
  if (!isPowerOfTwo(clusterSize) || clusterSize < 512 || clusterSize > 2 * 1024 * 1024) {
    throw new CommandError("Cluster size must be a power of two between 512 and 2048k");
  }
  if (extendedL2 && clusterSize < 16384) {
    throw new CommandError("Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
  }
  return clusterSize;
}

function parseCompat(value: string | number | boolean | undefined): "0.10" | "1.1" {
  switch (value) {
    case undefined:
    case "1.1":
      return "1.1";
    case "0.10":
      return "0.10";
    default:
      throw new CommandError(`Invalid compatibility level: '${String(value)}'`);
  }
}

function checkRefcountBits(refcountBits: number, compat: "0.10" | "1.1"): number {
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) {
    throw new CommandError("Refcount width must be a power of two and may not exceed 64 bits");
  }
  if (compat === "0.10" && refcountBits !== 16) {
    throw new CommandError(
      "Different refcount widths than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)",
    );
  }
  return refcountBits;
}
