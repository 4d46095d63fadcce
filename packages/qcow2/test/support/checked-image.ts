import { readFileSync } from "node:fs";
import { runTool, type ScratchDirectory } from "./qemu.ts";

/** What kind of image to make for a check. */
export interface CheckedImageSpec {
  readonly clusterBits: number;
  readonly refcountBits: number;
  readonly version: 2 | 3;
  readonly extendedL2?: boolean;
  readonly compressionType?: "zlib" | "zstd";
  readonly snapshots?: boolean;
  readonly bitmaps?: boolean;
  readonly dataFile?: boolean;
  readonly lazyRefcounts?: boolean;
}

/** A name for test output. */
export function specName(spec: CheckedImageSpec): string {
  return Object.entries(spec)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(",");
}

/** Makes an image with a bit of everything: data, fragments, holes, zero clusters, compressed clusters, shared clusters, bitmaps. */
export function makeCheckedImage(scratch: ScratchDirectory, spec: CheckedImageSpec): Uint8Array {
  const file = scratch.file("image.qcow2");
  const cluster = 2 ** spec.clusterBits;
  const options = [
    `compat=${spec.version === 2 ? "0.10" : "1.1"}`,
    `cluster_size=${cluster}`,
    `refcount_bits=${spec.refcountBits}`,
    ...(spec.extendedL2 === true ? ["extended_l2=on"] : []),
    ...(spec.compressionType === undefined ? [] : [`compression_type=${spec.compressionType}`]),
    ...(spec.dataFile === true ? [`data_file=${scratch.file("data.raw")}`] : []),
    ...(spec.lazyRefcounts === true ? ["lazy_refcounts=on"] : []),
  ];
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options.join(","), file, String(200 * cluster)]);
  const run = (...commands: readonly string[]): void => {
    runTool("qemu-io", [...commands.flatMap((command) => ["-c", command]), file]);
  };
  const compressed = [12, 13, 15].map((at) => `write -c -P ${at} ${at * cluster} ${cluster}`);
  run(
    `write -P 1 ${4 * cluster} ${3 * cluster}`,
    `write -P 2 0 ${2 * cluster}`,
    `write -P 3 ${70 * cluster} ${2 * cluster}`,
    `write -P 4 ${30 * cluster} ${cluster}`,
    ...(spec.dataFile === true || spec.refcountBits === 1 ? [] : compressed),
    `write -z ${16 * cluster} ${2 * cluster}`,
    `write -z ${5 * cluster} ${cluster}`,
    `write -P 5 ${150 * cluster + cluster / 2} 512`,
  );
  if (spec.bitmaps === true) {
    runTool("qemu-img", ["bitmap", "--add", file, "first"]);
    runTool("qemu-img", ["bitmap", "--add", "-g", "1M", file, "second"]);
    run(`write -P 6 ${70 * cluster} 512`);
  }
  if (spec.snapshots === true) {
    runTool("qemu-img", ["snapshot", "-c", "one", file]);
    run(`write -P 7 ${4 * cluster} ${cluster}`, `write -P 8 ${100 * cluster} ${cluster}`);
    runTool("qemu-img", ["snapshot", "-c", "two", file]);
    run(`write -P 9 ${70 * cluster} ${cluster}`);
  }
  return readFileSync(file);
}

/** The counts that a check gives, under qemu-img's names. */
export interface CheckCounts {
  readonly "image-end-offset": number;
  readonly "total-clusters": number;
  readonly "allocated-clusters": number;
  readonly "fragmented-clusters": number;
  readonly "compressed-clusters": number;
  readonly corruptions: number;
  readonly leaks: number;
  readonly "check-errors": number;
}

/** What `qemu-img check` counts in a file; `undefined` when it refuses to check. */
export function qemuCheck(file: string): CheckCounts | undefined {
  const { exitCode, stdout } = runTool("qemu-img", ["check", "-f", "qcow2", "--output=json", file], [0, 1, 2, 3]);
  if (exitCode === 1 && stdout === "") {
    return undefined;
  }
  const said = JSON.parse(stdout) as Partial<CheckCounts>;
  const count = (name: keyof CheckCounts): number => said[name] ?? 0;
  return {
    "image-end-offset": count("image-end-offset"),
    "total-clusters": count("total-clusters"),
    "allocated-clusters": count("allocated-clusters"),
    "fragmented-clusters": count("fragmented-clusters"),
    "compressed-clusters": count("compressed-clusters"),
    corruptions: count("corruptions"),
    leaks: count("leaks"),
    "check-errors": count("check-errors"),
  };
}
