import type { Preallocation } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";
import type { CreateOptionValues } from "./create-options.ts";
import { parsePreallocation } from "./preallocation.ts";

/** What `-o` says about a qcow2 image, checked and with the defaults filled in. */
export interface Qcow2Options {
  readonly compat: "0.10" | "1.1";
  /** Bytes. */
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  readonly compressionType: "zlib" | "zstd";
  readonly preallocation: Preallocation;
}

type Value = string | number | boolean | undefined;

/**
 * @param verb - some verbs word their refusals differently, and take different names for versions
 * @throws CommandError in qemu-img's words
 */
export function qcow2Options(values: CreateOptionValues, verb: "measure" | "create"): Qcow2Options {
  const preallocation = parsePreallocation(values.get("preallocation"), "qcow2", verb);
  const extendedL2 = values.get("extended_l2") === true;
  const clusterSize = checkClusterSize(numberOr(values.get("cluster_size"), 65536), extendedL2);
  const compat = parseCompat(values.get("compat"), verb);
  const compressionType = parseCompressionType(values.get("compression_type"));
  const options = {
    compat,
    clusterSize,
    refcountBits: checkRefcountBits(numberOr(values.get("refcount_bits"), 16), compat, verb),
    extendedL2,
    lazyRefcounts: values.get("lazy_refcounts") === true,
    compressionType,
    preallocation,
  };
  if (compat === "0.10" && verb === "create") {
    refuseForOldVersion(options);
  }
  return options;
}

function numberOr(value: Value, fallback: number): number {
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

function parseCompat(value: Value, verb: "measure" | "create"): "0.10" | "1.1" {
  if (value === undefined || value === "1.1" || (value === "v3" && verb === "create")) {
    return "1.1";
  }
  if (value === "0.10" || (value === "v2" && verb === "create")) {
    return "0.10";
  }
  throw new CommandError(
    verb === "create"
      ? `Parameter 'version' does not accept value '${String(value)}'`
      : `Invalid compatibility level: '${String(value)}'`,
  );
}

function parseCompressionType(value: Value): "zlib" | "zstd" {
  if (value === undefined || value === "zlib" || value === "zstd") {
    return value ?? "zlib";
  }
  throw new CommandError(`Parameter 'compression-type' does not accept value '${String(value)}'`);
}

function checkRefcountBits(refcountBits: number, compat: "0.10" | "1.1", verb: "measure" | "create"): number {
  if (!isPowerOfTwo(refcountBits) || refcountBits > 64) {
    throw new CommandError("Refcount width must be a power of two and may not exceed 64 bits");
  }
  if (compat === "0.10" && refcountBits !== 16) {
    const version = verb === "create" ? "version=v3" : "compat=1.1";
    throw new CommandError(
      "Different refcount widths than 16 bits require compatibility level 1.1 or above " +
        `(use ${version} or greater)`,
    );
  }
  return refcountBits;
}

function refuseForOldVersion(options: Qcow2Options): void {
  const newer = "supported with compatibility level 1.1 and above (use version=v3 or greater)";
  if (options.extendedL2) {
    throw new CommandError(`Extended L2 entries are only ${newer}`);
  }
  if (options.lazyRefcounts) {
    throw new CommandError(`Lazy refcounts only ${newer}`);
  }
  if (options.compressionType !== "zlib") {
    throw new CommandError(`Non-zlib compression type is only ${newer}`);
  }
}
