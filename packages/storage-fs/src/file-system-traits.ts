import { statfsSync } from "node:fs";

/** What can be relied on because of the kind of file system. */
export interface FileSystemTraits {
  /** Everything is in memory; nothing waits for a medium. */
  readonly inMemory: boolean;
  /** `st_blocks` counts data that hasn't been written out yet, so that 0 means that there is none. Not so on NFS, ZFS and much of FUSE. */
  readonly countsBlocks: boolean;
}

// linux/magic.h
const tmpfs = 0x0102_1994;
const ramfs = 0x8584_58f6;
const ext4 = 0xef53;
const xfs = 0x5846_5342;

/** Traits of the file system that an open file lies on; `undefined` where nothing can be relied on. */
export function fileSystemTraits(fd: number): FileSystemTraits | undefined {
  if (process.platform !== "linux") {
    return undefined;
  }
  try {
    const { type } = statfsSync(`/proc/self/fd/${String(fd)}`);
    // some Nodes give the number signed
    const magic = type >>> 0;
    const inMemory = magic === tmpfs || magic === ramfs;
    return { inMemory, countsBlocks: magic === tmpfs || magic === ext4 || magic === xfs };
  } catch {
    return undefined;
  }
}
