import type { Choice, Compatible } from "./covering-array.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Everything in which the images of the matrix differ. */
export const dimensions = {
  clusterSize: [512, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048].map((n, i) => (i === 0 ? n : n * KiB)),
  compat: ["0.10", "1.1"],
  compression: ["none", "zlib", "zstd"],
  extendedL2: [false, true],
  refcountBits: [1, 2, 4, 8, 16, 32, 64],
  pattern: [
    "empty",
    "data",
    "full",
    "zeroes",
    "discards",
    "allocated-zero",
    "odd-offsets",
    "compressed",
    "compressed-overwritten",
    "mixed",
  ],
  backing: [
    "none",
    "raw",
    "raw-odd-length",
    "qcow2",
    "qcow2-compressed",
    "chain",
    "shorter",
    "shorter-raw",
    "longer",
    "longer-raw",
    "shorter-between",
  ],
  backingFormat: ["recorded", "given", "probed"],
  dataFile: ["none", "plain", "raw"],
  snapshots: [0, 1, 2],
  preallocation: ["off", "metadata", "falloc", "full"],
  tail: ["whole", "partial"],
  bitmaps: [0, 2],
  vmState: [false, true],
} as const satisfies Readonly<Record<string, readonly unknown[]>>;

/** What one image of the matrix is like. */
export type ImageSpec = Choice<typeof dimensions>;

/** The pairs of values that no image can have, because QEMU refuses to make it or because one makes the other meaningless. */
export const compatible: Compatible<typeof dimensions> = (a, aValue, b, bValue) => {
  switch (a) {
    case "compat":
      return aValue === "1.1" || isPossibleInVersion2(b, bValue);
    case "extendedL2":
      return aValue === false || b !== "clusterSize" || Number(bValue) >= 16 * KiB;
    case "pattern":
      return !String(aValue).startsWith("compressed") || b !== "compression" || bValue !== "none";
    case "dataFile":
      return aValue === "none" || isPossibleWithDataFile(aValue === "raw", b, bValue);
    case "preallocation":
      return aValue === "off" || isPossiblePreallocated(b, bValue);
    case "refcountBits":
      return aValue !== 1 || b !== "snapshots" || bValue === 0;
    case "backing":
      return aValue !== "none" || b !== "backingFormat" || bValue === "recorded";
    case "vmState":
      return aValue === false || b !== "dataFile" || bValue === "none";
    default:
      return true;
  }
};

function isPossibleInVersion2(name: string, value: unknown): boolean {
  switch (name) {
    case "compression":
      return value !== "zstd";
    case "extendedL2":
      return value === false;
    case "refcountBits":
      return value === 16;
    case "dataFile":
      return value === "none";
    case "bitmaps":
      return value === 0;
    default:
      return true;
  }
}

function isPossibleWithDataFile(raw: boolean, name: string, value: unknown): boolean {
  switch (name) {
    case "compression":
      return value === "none";
    case "snapshots":
      return value === 0;
    case "backing":
      return !raw || value === "none";
    default:
      return true;
  }
}

function isPossiblePreallocated(name: string, value: unknown): boolean {
  return (name !== "compression" && name !== "backing") || value === "none";
}

/** Size in bytes of the image's disk: a few L2 tables where clusters are small, a few clusters where they are large. */
export function diskSize(spec: ImageSpec): number {
  const clusters = spec.clusterSize <= 4 * KiB ? (1.5 * MiB) / spec.clusterSize : 48;
  const whole = Math.min(clusters * spec.clusterSize, Math.max(20 * MiB, 10 * spec.clusterSize));
  // QEMU's sizes are whole sectors, so a cluster of one sector is never partial
  return spec.tail === "whole" ? whole : whole - Math.max(512, Math.floor(spec.clusterSize / 1024 / 3) * 1024 + 512);
}

/** The specification in one line, for messages and names. */
export function describeSpec(spec: ImageSpec): string {
  return Object.entries(spec)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}
