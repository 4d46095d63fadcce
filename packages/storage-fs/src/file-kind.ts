import { ImgError } from "@img/format-core";

/** What can be read and written at offsets. */
export type FileKind = "file" | "block device";

/** The part of `fs.Stats` that tells kinds apart. */
interface KindOfStats {
  isFile(): boolean;
  isBlockDevice(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isCharacterDevice(): boolean;
}

/**
 * What a file is.
 *
 * @param blockDevices - whether block devices are welcome
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for everything that has no offsets (directories, pipes, sockets, terminals and other character
 * devices) and for unwelcome block devices
 */
export function fileKind(stats: KindOfStats, label: string, blockDevices: boolean): FileKind {
  if (stats.isFile()) {
    return "file";
  }
  if (stats.isBlockDevice() && blockDevices) {
    return "block device";
  }
  const expected = blockDevices ? "a regular file or a block device" : "a regular file";
  throw new ImgError("ERR_IMG_UNSUPPORTED", `${label} is ${kindName(stats)}: expected ${expected}`, { subject: label });
}

function kindName(stats: KindOfStats): string {
  if (stats.isDirectory()) {
    return "a directory";
  }
  if (stats.isFIFO()) {
    return "a pipe";
  }
  if (stats.isSocket()) {
    return "a socket";
  }
  if (stats.isCharacterDevice()) {
    return "a character device";
  }
  return stats.isBlockDevice() ? "a block device" : "of an unknown kind";
}
