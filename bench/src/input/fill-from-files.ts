import { closeSync, ftruncateSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";

const MiB = 1024 * 1024;
/** Files begin at multiples of a file system's block. */
const blockSize = 4096;
/** Of each 4 MiB, the last is left empty, as parts of a disk are that was used for a while. */
const [stride, filled] = [4 * MiB, 3 * MiB];
/** Programs, libraries, texts: what a system disk consists of. */
const directories = ["/usr/bin", "/usr/lib", "/usr/share", "/usr/include", "/usr/sbin", "/opt"];

/**
 * Makes a raw disk of `size` MiB out of the files that are installed, in the order of their names: the same disk on the same system.
 * Where there aren't enough, its end stays empty.
 * @throws Error when there is no file at all
 */
export function fillFromFiles(path: string, size: number): void {
  const target = openSync(path, "w");
  const buffer = new Uint8Array(MiB);
  let offset = 0;
  try {
    ftruncateSync(target, size * MiB);
    for (const file of installedFiles()) {
      offset = copyFile(file, target, offset, size * MiB, buffer);
      if (offset >= size * MiB) {
        return;
      }
    }
    if (offset === 0) {
      throw new Error(`${directories.join(", ")}: no file that can be read`);
    }
  } finally {
    closeSync(target);
  }
}

/** @returns where the next file goes; behind the end: there is no room left */
function copyFile(file: string, target: number, start: number, end: number, buffer: Uint8Array): number {
  let source: number;
  try {
    source = openSync(file, "r");
  } catch {
    return start;
  }
  let offset = start;
  try {
    for (;;) {
      const room = Math.min(buffer.length, end - offset, filled - (offset % stride));
      const count = room <= 0 ? 0 : readSync(source, buffer, 0, room, null);
      if (count === 0) {
        break;
      }
      writeSync(target, buffer, 0, count, offset);
      offset = behindHole(offset + count);
    }
  } finally {
    closeSync(source);
  }
  return behindHole(Math.ceil(offset / blockSize) * blockSize);
}

function behindHole(offset: number): number {
  return offset % stride >= filled ? Math.ceil(offset / stride) * stride : offset;
}

function* installedFiles(): Generator<string> {
  for (const directory of directories) {
    yield* filesBelow(directory);
  }
}

function* filesBelow(directory: string): Generator<string> {
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      yield* filesBelow(path);
    } else if (entry.isFile()) {
      yield path;
    }
  }
}
