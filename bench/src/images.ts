import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDisk, makeFullDisk } from "./make-disk.ts";
import { runProgram } from "./run-program.ts";

/** How each image is made from a raw one by `qemu-img convert`. */
const recipes = {
  plain: { from: "disk.raw", options: [] },
  zlib: { from: "disk.raw", options: ["-c", "-W", "-m", "16"] },
  zstd: { from: "disk.raw", options: ["-c", "-W", "-m", "16", "-o", "compression_type=zstd"] },
  full: { from: "full.raw", options: [] },
} as const satisfies Record<string, { from: string; options: readonly string[] }>;

/** The images that the cases read, made when they are first asked for. */
export class Images {
  readonly #directory: string;
  /** MiB. */
  readonly size: number;

  constructor(directory: string, size: number) {
    this.#directory = directory;
    this.size = size;
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** The raw disk with holes, or the one without. */
  raw(name: "disk.raw" | "full.raw" = "disk.raw"): string {
    const path = this.path(name);
    if (!existsSync(path)) {
      (name === "disk.raw" ? makeDisk : makeFullDisk)(path, this.size);
    }
    return path;
  }

  qcow2(kind: keyof typeof recipes): string {
    const { from, options } = recipes[kind];
    const path = this.path(`${kind}.qcow2`);
    if (!existsSync(path)) {
      runProgram("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...options, this.raw(from), path]);
    }
    return path;
  }

  /** An image of `size` bytes whose tables are all there and whose data is not. */
  preallocated(size: number): string {
    const path = this.path("preallocated.qcow2");
    if (!existsSync(path)) {
      runProgram("qemu-img", ["create", "-f", "qcow2", "-o", "preallocation=metadata", path, String(size)]);
    }
    return path;
  }

  /** How many MiB a file takes, for people. */
  allocated(path: string): number {
    return Math.round((statSync(path).blocks * 512) / 1024 / 1024);
  }
}
