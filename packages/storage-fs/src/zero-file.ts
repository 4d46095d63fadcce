import { ImgError, hex, type Io } from "@img/format-core";
import { changeFile } from "./change-file.ts";
import type { OpenFile } from "./open-file.ts";
import { writeZeroBytes } from "./write-zero-bytes.ts";

/**
 * Makes a range read as zero without writing all of it.
 *
 * @param allocate - whether its space stays, or becomes, reserved; otherwise it is freed
 * @throws ImgError `ERR_IMG_UNSUPPORTED` where the host can't; the range may read as zero already then, or be unchanged
 */
export function* zeroFile(file: OpenFile, offset: number, length: number, allocate: boolean): Io<void> {
  const { epoch, native, fd } = file;
  const end = offset + length;
  if (length === 0) {
    return;
  }
  if (file.kind === "block device" && end > file.size) {
    // writing says best what is wrong with it
    throw unsupported(file, offset, length);
  }
  if (allocate) {
    if (yield* changeFile(file, "zero range", native?.zeroRange(fd, offset, length))) {
      file.wrote(end, epoch);
      return;
    }
    if (file.kind === "block device") {
      throw unsupported(file, offset, length);
    }
  }
  if (!(yield* changeFile(file, "punch hole", native?.punchHole(fd, offset, length)))) {
    throw unsupported(file, offset, length);
  }
  if (allocate) {
    if (!(yield* changeFile(file, "allocate", native?.allocate(fd, offset, length)))) {
      throw unsupported(file, offset, length);
    }
    file.wrote(end, epoch);
  } else if (end > file.size) {
    // unlike setting the length, writing the last bytes can't cut off what somebody else writes behind them meanwhile
    const last = Math.min(length, Math.max(file.limits.request, file.limits.memory));
    yield* writeZeroBytes(file, end - last, last);
  }
}

function unsupported(file: OpenFile, offset: number, length: number): ImgError {
  const what = `${file.label}: no way to zero ${String(length)} bytes at ${hex(offset)} but to write them`;
  return new ImgError("ERR_IMG_UNSUPPORTED", what, { subject: file.label });
}
