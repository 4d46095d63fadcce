import { allowAll, FormatRegistry, type FormatAccess, type Storage } from "@img/format-core";
import { qcow2, type Qcow2Image, type Qcow2OpenOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { fileOpener, FileStorage } from "@img/storage-fs";
import type { Random } from "./random.ts";
import { runTool } from "./run-tool.ts";

/** What an image that tests write to is like. */
export interface WrittenShape {
  /** Bytes. */
  readonly clusterSize: number;
  readonly compat: "0.10" | "1.1";
  readonly refcountBits: number;
  readonly extendedL2: boolean;
  readonly lazyRefcounts: boolean;
  readonly compression: "zlib" | "zstd";
  readonly backing: "none" | "raw" | "qcow2";
  readonly dataFile: "none" | "plain" | "raw";
  /** Bytes. */
  readonly size: number;
}

/** A shape for everything that can be combined. @param mostClusterBits - the largest exponent of the cluster size */
export function randomShape(random: Random, mostClusterBits = 18): WrittenShape {
  const version2 = random.chance(0.2);
  const clusterSize = 2 ** random.between(9, mostClusterBits);
  const backing = random.pick(["none", "none", "raw", "qcow2"] as const);
  const size = clusterSize * random.between(0, 40) + 512 * random.between(1, 2000);
  return {
    clusterSize,
    compat: version2 ? "0.10" : "1.1",
    refcountBits: version2 ? 16 : 2 ** random.between(0, 6),
    extendedL2: !version2 && clusterSize >= 16384 && random.chance(0.4),
    lazyRefcounts: !version2 && random.chance(0.2),
    compression: !version2 && random.chance(0.3) ? "zstd" : "zlib",
    backing,
    dataFile: version2 || backing !== "none" ? "none" : random.pick(["none", "none", "none", "plain", "raw"] as const),
    size,
  };
}

/** For messages. */
export function describeShape(shape: WrittenShape): string {
  return Object.entries(shape)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}

/** Options of `qemu-img create -o` for a shape. */
function createOptions(shape: WrittenShape, directory: string): string {
  const options = [`cluster_size=${String(shape.clusterSize)}`, `compat=${shape.compat}`];
  if (shape.compat === "1.1") {
    options.push(
      `refcount_bits=${String(shape.refcountBits)}`,
      `extended_l2=${shape.extendedL2 ? "on" : "off"}`,
      `lazy_refcounts=${shape.lazyRefcounts ? "on" : "off"}`,
      `compression_type=${shape.compression}`,
    );
  }
  if (shape.dataFile !== "none") {
    options.push(`data_file=${directory}/data.raw`, `data_file_raw=${shape.dataFile === "raw" ? "on" : "off"}`);
  }
  return options.join(",");
}

/** Makes an image of that shape with the real tool: `image.qcow2`, over `base.raw` or `base.qcow2` if it is to have a backing file. */
export function makeWithTool(shape: WrittenShape, directory: string): string {
  const path = `${directory}/image.qcow2`;
  const backing = shape.backing === "none" ? [] : ["-b", `base.${shape.backing}`, "-F", shape.backing];
  const options = createOptions(shape, directory);
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, ...backing, path, String(shape.size)]);
  return path;
}

/** Opens an image for writing as its user would, with the smallest caches that there are. */
export function openWritable(
  storage: Storage,
  options: Partial<Qcow2OpenOptions> = {},
): Promise<FormatAccess<Qcow2Image>> {
  return qcow2.open(storage, {
    writable: true,
    gate: allowAll({ opener: fileOpener({ lock: "off" }), formats: new FormatRegistry([qcow2, raw]) }),
    l2CacheSize: 1,
    refcountCacheSize: 1,
    clusterCacheSize: 1,
    ...options,
  });
}

/** The file of an image that is written. Answers at once, or later, as `random` has it. */
export function openFile(path: string, random: Random): Promise<FileStorage> {
  return FileStorage.open(path, {
    writable: true,
    lock: "off",
    blocking: random.pick(["always", "never"] as const),
  });
}
