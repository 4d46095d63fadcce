import { statfsSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { runProgram } from "./run-program.ts";

/** Where something was measured. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** GiB. */
  readonly memory: number;
  readonly kernel: string;
  readonly node: string;
  readonly qemu: string;
  /** Of the directory with the images. */
  readonly filesystem: string;
}

/** `f_type` of `statfs(2)`, by magic numbers of `linux/magic.h`. */
const filesystems: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x01021994: "tmpfs",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x794c7630: "overlayfs",
  0x2fc12fc1: "zfs",
  0x6969: "nfs",
};

/** This machine, with images in `directory`. */
export function describeMachine(directory: string): Machine {
  const processors = cpus();
  const { type } = statfsSync(directory);
  const { output } = runProgram("qemu-img", ["--version"], { capture: true });
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memory: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    qemu: /version ([\d.]+)/.exec(output)?.[1] ?? "unknown",
    filesystem: filesystems[type] ?? `0x${type.toString(16)}`,
  };
}

/** How many processes wanted to run in the last minute, on average. */
export function load(): number {
  return Math.round((loadavg()[0] ?? NaN) * 10) / 10;
}
