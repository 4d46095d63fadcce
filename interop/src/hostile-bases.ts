import { readFileSync, writeFileSync } from "node:fs";
import { diskContents } from "./guest-contents.ts";
import type { Random } from "./random.ts";
import { runTool } from "./run-tool.ts";

/** A well-formed image to be mutated. */
export interface HostileBase {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** How one base is made. */
interface Recipe {
  readonly name: string;
  readonly options: string;
  readonly size: number;
  readonly commands: readonly string[];
  readonly backing?: boolean;
  readonly snapshots?: boolean;
  readonly bitmaps?: boolean;
}

const common = ["write -q -P 1 0 20k", "write -q -P 2 40k 100k", "write -q -z 50k 16k", "discard 100k 16k"];
const compressed = ["write -q -c -P 3 256k 64k", "write -q -c -P 4 384k 64k", "write -q -P 5 390k 1k"];

const recipes: readonly Recipe[] = [
  {
    name: "version 3 with everything",
    options: "cluster_size=4k",
    size: 1 << 20,
    commands: [...common, ...compressed],
    backing: true,
    snapshots: true,
    bitmaps: true,
  },
  {
    name: "version 3 with data only",
    options: "cluster_size=2k",
    size: 600 * 1024,
    commands: [...common, ...compressed],
  },
  {
    name: "version 2",
    options: "compat=0.10,cluster_size=1k",
    size: 700 * 1024,
    commands: [...common, ...compressed],
    backing: true,
    snapshots: true,
  },
  {
    name: "extended L2 entries and zstd",
    options: "extended_l2=on,cluster_size=16k,compression_type=zstd",
    size: 1 << 20,
    commands: [...common, "write -q 17k 3k", ...compressed],
    snapshots: true,
  },
  {
    name: "clusters of 512 bytes",
    options: "cluster_size=512,refcount_bits=64",
    size: 200 * 1024,
    commands: ["write -q -P 1 0 20k", "write -q -P 2 40k 100k", "write -q -c -P 7 150k 20k"],
    bitmaps: true,
  },
  {
    name: "clusters of 64 KiB",
    options: "cluster_size=64k,refcount_bits=8",
    size: 1 << 20,
    commands: [...common, ...compressed],
    backing: true,
    snapshots: true,
  },
];

/** Their names. */
export const hostileBaseNames: readonly string[] = recipes.map(({ name }) => name);

/** Makes the bases with the real tools. Their backing image, where they name one, is `/granted/base.raw`. */
export function makeHostileBases(scratch: (name: string) => string, random: Random): HostileBase[] {
  writeFileSync(scratch("base.raw"), diskContents(1 << 20, random));
  return recipes.map((recipe, index) => {
    const path = scratch(`hostile-${String(index)}.qcow2`);
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", recipe.options, path, String(recipe.size)]);
    runTool("qemu-io", ["-f", "qcow2", ...recipe.commands.flatMap((each) => ["-c", each]), path]);
    if (recipe.bitmaps === true) {
      runTool("qemu-img", ["bitmap", "--add", "-g", "512", path, "first"]);
      runTool("qemu-img", ["bitmap", "--add", path, "second"]);
    }
    if (recipe.snapshots === true) {
      runTool("qemu-img", ["snapshot", "-c", "before", path]);
      runTool("qemu-io", ["-f", "qcow2", "-c", "write -q -P 9 0 60k", path]);
      runTool("qemu-img", ["snapshot", "-c", "later", path]);
    }
    if (recipe.backing === true) {
      runTool("qemu-img", ["rebase", "-u", "-f", "qcow2", "-b", "/granted/base.raw", "-F", "raw", path]);
    }
    return { name: recipe.name, bytes: new Uint8Array(readFileSync(path)) };
  });
}
