import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../run/run-program.ts";
import { fillFromFiles } from "./fill-from-files.ts";
import { makeDisk, makeFullDisk, makeSparseDisk } from "./make-disk.ts";
import { shuffled } from "./random-numbers.ts";

/** Raw disks: half of it data of several kinds; without holes, random; nearly empty; installed files. */
export type RawDisk = keyof typeof rawDisks;

const rawDisks = { mixed: makeDisk, full: makeFullDisk, sparse: makeSparseDisk, files: fillFromFiles } as const;

const compressed = ["-c", "-W", "-m", "16"];

/** How each image is made from a raw one by `qemu-img convert`. */
const recipes = {
  plain: { from: "mixed", options: [] },
  sparse: { from: "sparse", options: [] },
  full: { from: "full", options: [] },
  files: { from: "files", options: [] },
  zlib: { from: "mixed", options: compressed },
  zstd: { from: "mixed", options: [...compressed, "-o", "compression_type=zstd"] },
  "files-zlib": { from: "files", options: compressed },
  "files-zstd": { from: "files", options: [...compressed, "-o", "compression_type=zstd"] },
  "clusters-4k": { from: "mixed", options: ["-o", "cluster_size=4k"] },
  "clusters-2m": { from: "mixed", options: ["-o", "cluster_size=2M"] },
} as const satisfies Record<string, { from: RawDisk; options: readonly string[] }>;

/** Images that `qemu-img convert` makes. */
export type ConvertedImage = keyof typeof recipes;

const clusterSize = 64 * 1024;
const MiB = 1024 * 1024;

/** The disks and images that the cases read, made when they are first asked for, always with the same contents. */
export class Images {
  readonly #directory: string;
  readonly #tiny: boolean;
  /** MiB. */
  readonly size: number;

  /** @param tiny - nothing is going to be measured: images for large tables have small ones */
  constructor(directory: string, size: number, tiny: boolean = false) {
    this.#directory = directory;
    this.size = size;
    this.#tiny = tiny;
  }

  /** Those of disks that are four times as large. */
  get larger(): Images {
    const directory = join(this.#directory, "large");
    mkdirSync(directory, { recursive: true });
    return new Images(directory, 4 * this.size, this.#tiny);
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** A raw disk. */
  raw(kind: RawDisk = "mixed"): string {
    return this.#make(`${kind}.raw`, (path) => {
      rawDisks[kind](path, this.size);
    });
  }

  /** A qcow2 image of a raw disk. */
  qcow2(kind: ConvertedImage): string {
    const { from, options } = recipes[kind];
    return this.#make(`${kind}.qcow2`, (path) => {
      runProgram("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...options, this.raw(from), path]);
    });
  }

  /** Three of four clusters, written in random order. */
  fragmented(): string {
    return this.#make("fragmented.qcow2", (path) => {
      create(path, [`${String(this.size)}M`]);
      const count = (this.size * MiB) / clusterSize;
      writeClusters(path, shuffled(count, 11).slice(0, Math.ceil((count * 3) / 4)));
    });
  }

  /** The uppermost of three images: below, the plain one; in both above, an eighth of the clusters. */
  chain(): string {
    const middle = this.#overlay("chain-middle.qcow2", this.qcow2("plain"), 12);
    return this.#overlay("chain-top.qcow2", middle, 13);
  }

  /** An empty image above the one without holes. */
  emptyOverlay(): string {
    return this.#make("overlay.qcow2", (path) => create(path, ["-b", this.qcow2("full"), "-F", "qcow2"]));
  }

  /** An image of `size` bytes whose tables are all there and whose data is not. */
  preallocated(size: number): string {
    return this.#make(`preallocated-${String(size)}.qcow2`, (path) =>
      create(path, ["-o", "preallocation=metadata", String(this.#tiny ? size / 1024 : size)]),
    );
  }

  /** An image of `size` bytes with one block in each of up to 2048 places far from each other. */
  scattered(size: number): string {
    return this.#make(`scattered-${String(size)}.qcow2`, (path) => {
      create(path, [String(size)]);
      const count = Math.min(this.#tiny ? 16 : 2048, Math.floor(size / clusterSize));
      const step = Math.floor(size / count / clusterSize);
      writeClusters(
        path,
        Array.from({ length: count }, (_, index) => index * step),
        4096,
      );
    });
  }

  #overlay(name: string, backing: string, seed: number): string {
    return this.#make(name, (path) => {
      create(path, ["-b", backing, "-F", "qcow2"]);
      const count = (this.size * MiB) / clusterSize;
      writeClusters(path, shuffled(count, seed).slice(0, Math.ceil(count / 8)));
    });
  }

  /** Nothing is left of what couldn't be finished. */
  #make(name: string, make: (path: string) => void): string {
    const path = this.path(name);
    if (!existsSync(path)) {
      try {
        make(path);
      } catch (error) {
        rmSync(path, { force: true });
        throw error;
      }
    }
    return path;
  }
}

function create(path: string, args: readonly string[]): void {
  const options = args.filter((arg) => !/^\d+M?$/.test(arg));
  const size = args.filter((arg) => /^\d+M?$/.test(arg));
  runProgram("qemu-img", ["create", "-q", "-f", "qcow2", ...options, path, ...size]);
}

/** Writes the start of each of these clusters, in this order. @throws Error when one can't be written */
function writeClusters(path: string, clusters: readonly number[], length: number = clusterSize): void {
  const commands = clusters.map(
    (index) => `write -q -P ${String((index % 255) + 1)} ${String(index * clusterSize)} ${String(length)}`,
  );
  const { status, stdout, stderr } = spawnSync("qemu-io", ["-f", "qcow2", "-t", "unsafe", path], {
    input: `${commands.join("\n")}\nquit\n`,
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (status !== 0 || /failed|error/i.test(stdout)) {
    throw new Error(`qemu-io ${path}: status ${String(status)}\n${stderr}${stdout.slice(-2000)}`);
  }
}
