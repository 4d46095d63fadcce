import { ImgError } from "@img/format-core";
import { parseZstdFrame, type ZstdFrame } from "./zstd-frame.ts";

/** The largest window that is accepted: what zstd's own tools (and QEMU) accept unless told otherwise, 2^27 bytes. */
const largestWindow = 128 * 1024 * 1024;

/**
 * Decodes exactly one frame into the beginning of `target`.
 * @returns bytes decoded; throws, with whatever error, when the frame is invalid or doesn't fit
 */
export type ZstdFrameDecoder = (frame: Uint8Array, target: Uint8Array, header: ZstdFrame) => number;

/**
 * Decodes frames from the beginning of `source` until `target` is full; the last one must end exactly there, and what is behind it is
 * ignored. Skippable frames are skipped.
 * @throws ImgError `ERR_IMG_CORRUPT`, `ERR_IMG_UNSUPPORTED` (a dictionary, or a window larger than 128 MiB)
 */
export function decodeZstdFrames(source: Uint8Array, target: Uint8Array, decode: ZstdFrameDecoder): void {
  let at = 0;
  let filled = 0;
  while (filled < target.length) {
    const header = parseZstdFrame(source, at);
    const frame = source.subarray(at, at + header.length);
    at += header.length;
    if (header.skippable) {
      continue;
    }
    checkSizes(header, target.length - filled);
    filled += decodeOne(frame, target.subarray(filled), header, decode);
  }
}

function checkSizes(header: ZstdFrame, room: number): void {
  if (header.windowSize > largestWindow) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `zstd frame wants a window of ${header.windowSize} bytes: at most ${largestWindow} are supported`,
    );
  }
  if (header.contentSize !== undefined && header.contentSize > room) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `zstd frame says that it holds ${header.contentSize} bytes: expected at most ${room}`,
    );
  }
}

function decodeOne(frame: Uint8Array, target: Uint8Array, header: ZstdFrame, decode: ZstdFrameDecoder): number {
  let length: number;
  try {
    length = decode(frame, target, header);
  } catch (error) {
    if (error instanceof ImgError) throw error;
    throw new ImgError("ERR_IMG_CORRUPT", `zstd frame of ${frame.length} bytes is invalid or too long`, {
      cause: error,
    });
  }
  if (header.contentSize !== undefined && header.contentSize !== length) {
    throw new ImgError("ERR_IMG_CORRUPT", `zstd frame says that it holds ${header.contentSize} bytes, found ${length}`);
  }
  return length;
}
