import { ftruncate, ftruncateSync } from "node:fs";
import { ImgError, alignUp, type Io, type StoragePreallocation } from "@img/format-core";
import { changeFile } from "./change-file.ts";
import { callHost, nodeCommand } from "./host-call.ts";
import type { OpenFile } from "./open-file.ts";
import { writeZeroBytes } from "./write-zero-bytes.ts";

/**
 * Sets a file's length. When growing fails, the old length is restored.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for a block device, unless it has that length
 */
export function* resizeFile(file: OpenFile, size: number, preallocation: StoragePreallocation): Io<void> {
  if (file.kind === "block device") {
    if (size === file.size) {
      return;
    }
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${file.label}: a block device has a fixed length: expected ${String(file.size)} bytes, found ${String(size)}`,
      { subject: file.label },
    );
  }
  file.resizing();
  try {
    file.measure();
    const before = file.size;
    if (size === before) {
      // not asked of the host: ext4 takes cutting a file off at 0 as a sign that its new contents must be on disk when it is closed
      return;
    }
    if (size < before || preallocation === "none" || preallocation === "zero") {
      yield* setLength(file, size);
      return;
    }
    try {
      yield* grow(file, before, size, preallocation);
    } catch (error) {
      yield* setLength(file, before);
      throw error;
    }
  } finally {
    // writes in flight since before are measured again when they end
    file.resizing();
    file.measure();
  }
}

function* grow(file: OpenFile, before: number, size: number, preallocation: "allocate" | "write"): Io<void> {
  if (
    preallocation === "allocate" &&
    (yield* changeFile(file, "allocate", file.native?.allocate(file.fd, before, size - before)))
  ) {
    return;
  }
  const unit = Math.max(file.limits.request, file.limits.memory);
  const start = alignUp(before, unit);
  const stop = alignUp(size, unit);
  if (start < stop) {
    yield* writeZeroBytes(file, start, stop - start);
  }
  yield* setLength(file, size);
}

function setLength(file: OpenFile, size: number): Io<void> {
  return callHost(
    file.label,
    nodeCommand(
      () => {
        ftruncateSync(file.fd, size);
      },
      (done) => {
        ftruncate(file.fd, size, done);
      },
    ),
    file.changesAtOnce,
  );
}
