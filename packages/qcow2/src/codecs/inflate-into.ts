import { ImgError } from "@img/format-core";
import { Z_BUF_ERROR, Z_FINISH, Z_OK, Z_STREAM_END, ZStream, zlibInflate, zlibInflateInit2 } from "pako";

/** Negative: raw deflate. The largest window, because readers are to accept what any writer made. */
const rawWindowBits = -15;

/**
 * Decodes a raw deflate stream (RFC 1951) straight into `target`, and stops when `target` is full. What follows there, the rest of
 * the stream included, is ignored.
 *
 * @throws ImgError `ERR_IMG_CORRUPT` when the stream is invalid, or gives less than `target.length` bytes
 */
export function inflateInto(source: Uint8Array, target: Uint8Array): void {
  const stream = new ZStream();
  if (zlibInflateInit2(stream, rawWindowBits) !== Z_OK) {
    throw new Error("pako can't prepare to inflate");
  }
  stream.input = source;
  stream.avail_in = source.length;
  // pako declares the buffers that it makes itself; it writes into any
  stream.output = target as Uint8Array<ArrayBuffer>;
  stream.avail_out = target.length;
  const status = zlibInflate(stream, Z_FINISH);
  if (stream.avail_out > 0 || (status !== Z_STREAM_END && status !== Z_BUF_ERROR)) {
    const found = target.length - stream.avail_out;
    const reason = stream.msg === "" ? "it ends" : stream.msg;
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `deflate stream: expected ${target.length} bytes, found ${found}, then ${reason}`,
    );
  }
}
