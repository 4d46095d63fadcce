import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { buildBacking, type BuiltBacking } from "./build-backing.ts";
import { diskContents } from "./guest-contents.ts";
import { diskSize, type ImageSpec } from "./image-spec.ts";
import { forgetBackingFormat } from "./qcow2-file.ts";
import type { Random } from "./random.ts";
import { runProgram } from "./run-program.ts";
import { runTool } from "./run-tool.ts";
import type { Workshop } from "./workshop.ts";
import { writeProgram, type ProgramTarget } from "./write-program.ts";

/** An internal snapshot of a built image. */
export interface BuiltSnapshot {
  readonly id: string;
  readonly name: string;
  /** Size in bytes of the disk when it was made. */
  readonly size: number;
}

/** An image of the matrix, in files. */
export interface BuiltImage {
  readonly path: string;
  /** For the real tools: {@link path}, or `json:{…}` where the backing image is given. */
  readonly name: string;
  readonly backing: BuiltBacking | undefined;
  readonly dataFile: string | undefined;
  readonly snapshots: readonly BuiltSnapshot[];
  /** Size in bytes of the disk. */
  readonly size: number;
}

/** Makes the image that `spec` describes, with the real tools only. Equal generators give equal guest contents. */
export function buildImage(spec: ImageSpec, workshop: Workshop, random: Random): BuiltImage {
  const size = diskSize(spec);
  const path = workshop.file("image.qcow2");
  const backing = buildBacking(spec, size, workshop, random);
  const dataFile = spec.dataFile === "none" ? undefined : workshop.file("data-file.raw");
  const target = programTarget(spec, size, workshop);
  if (convertContents(spec, path, size, workshop, random)) {
    Array.from({ length: Math.ceil(size / spec.clusterSize) }, (_, cluster) => target.touched.add(cluster));
  } else {
    create(spec, path, size, backing, dataFile);
  }
  const filled = fillImage(spec, path, target, random);
  if (backing?.known === "probed") {
    forgetBackingFormat(path);
  } else if (backing?.known === "given") {
    runTool("qemu-img", ["rebase", "-u", "-f", "qcow2", "-b", "/nonexistent/backing", "-F", backing.format, path]);
  }
  const name = backing?.known === "given" ? nameWithBacking(path, backing) : path;
  return { path, name, backing, dataFile, ...filled };
}

/** `-o` for the real tool. */
function createOptions(spec: ImageSpec, dataFile?: string): string {
  const options = [`cluster_size=${String(spec.clusterSize)}`, `compat=${spec.compat}`];
  if (spec.compat === "1.1") {
    options.push(`refcount_bits=${String(spec.refcountBits)}`, `extended_l2=${spec.extendedL2 ? "on" : "off"}`);
    options.push(`compression_type=${spec.compression === "zstd" ? "zstd" : "zlib"}`);
  }
  options.push(
    `preallocation=${spec.dataFile === "raw" && spec.preallocation === "off" ? "metadata" : spec.preallocation}`,
  );
  if (dataFile !== undefined) {
    options.push(`data_file=${dataFile}`, `data_file_raw=${spec.dataFile === "raw" ? "on" : "off"}`);
  }
  return options.join(",");
}

function create(
  spec: ImageSpec,
  path: string,
  size: number,
  backing: BuiltBacking | undefined,
  dataFile: string | undefined,
): void {
  const args = ["create", "-q", "-f", "qcow2", "-o", createOptions(spec, dataFile)];
  if (backing !== undefined) {
    args.push("-b", backing.path, "-F", backing.format);
  }
  runTool("qemu-img", [...args, path, String(size)]);
}

/** Makes half of the images that can be made so by converting a whole disk, most of them compressed. */
function convertContents(spec: ImageSpec, path: string, size: number, workshop: Workshop, random: Random): boolean {
  const possible = spec.backing === "none" && spec.dataFile === "none" && spec.pattern !== "empty";
  if (!possible || random.chance(0.5)) {
    return false;
  }
  const source = workshop.file("source.raw");
  writeFileSync(source, diskContents(size, random));
  const compressed = spec.compression === "none" ? [] : ["-c"];
  runTool("qemu-img", ["convert", ...compressed, "-f", "raw", "-O", "qcow2", "-o", createOptions(spec), source, path]);
  rmSync(source);
  return true;
}

/** Runs the programs, and takes the snapshots between them. */
function fillImage(
  spec: ImageSpec,
  path: string,
  target: ProgramTarget,
  random: Random,
): { readonly snapshots: BuiltSnapshot[]; readonly size: number } {
  const snapshots: BuiltSnapshot[] = [];
  let { size } = target;
  runProgram(path, writeProgram(spec.pattern, target, random.between(4, 24), random));
  addBitmaps(spec, path);
  for (let taken = 1; taken <= spec.snapshots; taken++) {
    if (spec.vmState) {
      runProgram(path, [`write -q -b -P ${String(taken)} 0 ${String(random.between(1, 30) * 512)}`]);
    }
    const name = random.pick(["plain", "with space", "ünïcode", String(taken + 7)]) + String(taken);
    if (!takeSnapshot(name, path, spec.refcountBits)) {
      break;
    }
    snapshots.push({ id: String(taken), name, size });
    size = maybeResize(spec, path, size, random);
    runProgram(path, writeProgram(spec.pattern, { ...target, size }, random.between(4, 16), random));
  }
  return { snapshots, size };
}

/** `false`: the refcounts are too narrow for one more reference to each cluster. */
function takeSnapshot(name: string, path: string, refcountBits: number): boolean {
  const mayFail = refcountBits <= 4;
  const { exitCode, stderr } = runTool("qemu-img", ["snapshot", "-c", name, path], { mayFail });
  if (exitCode !== 0 && !stderr.includes("Invalid argument")) {
    throw new Error(`cannot take the snapshot ${name}: ${stderr}`);
  }
  return exitCode === 0;
}

function programTarget(spec: ImageSpec, size: number, workshop: Workshop): ProgramTarget {
  return {
    clusterSize: spec.clusterSize,
    size,
    compresses: spec.compression !== "none" && spec.dataFile === "none",
    patternPath: workshop.patternPath,
    touched: new Set<number>(),
  };
}

function addBitmaps(spec: ImageSpec, path: string): void {
  for (let index = 0; index < spec.bitmaps; index++) {
    const more = index === 0 ? [] : ["--disable"];
    runTool("qemu-img", [
      "bitmap",
      "-f",
      "qcow2",
      "--add",
      "-g",
      String(65536 << index),
      ...more,
      path,
      `bitmap ${String(index)}`,
    ]);
  }
}

/** Half of the version-3 images change their size after a snapshot. */
function maybeResize(spec: ImageSpec, path: string, size: number, random: Random): number {
  // the tool can't revert to a snapshot of another size while there are bitmaps, nor resize what was preallocated with a backing image
  const possible =
    spec.compat === "1.1" && spec.backing === "none" && spec.preallocation === "off" && spec.bitmaps === 0;
  if (!possible || random.chance(0.5)) {
    return size;
  }
  const sectors = Math.floor(size / 512);
  const changed = 512 * random.between(Math.ceil(sectors / 2), sectors * 2);
  const shrinks = changed < size ? ["--shrink"] : [];
  runTool("qemu-img", ["resize", "-q", "-f", "qcow2", ...shrinks, path, String(changed)]);
  return changed;
}

function nameWithBacking(path: string, backing: BuiltBacking): string {
  const file = (filename: string): object => ({ driver: "file", filename });
  return `json:${JSON.stringify({
    driver: "qcow2",
    file: file(path),
    backing: { driver: backing.format, file: file(backing.path) },
  })}`;
}

/** A copy of the image, reverted to one of its snapshots: the real tool's own idea of what the snapshot holds. */
export function revertedCopy(image: BuiltImage, snapshot: BuiltSnapshot, path: string): void {
  copyFileSync(image.path, path);
  runTool("qemu-img", ["snapshot", "-a", snapshot.id, path]);
}
