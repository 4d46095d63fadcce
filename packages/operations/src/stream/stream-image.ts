import { runAsync, runSync, type AbortOptions, type FormatAccess } from "@img/format-core";
import { imageOf, type SyncImage } from "../sync-image.ts";
import type { ChunkSource } from "./chunk-source.ts";
import { planChunks } from "./plan-chunks.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { StreamOptions } from "./stream-options.ts";

/** An image that is sent somewhere. */
export interface StreamedImage {
  /** Bytes in all, known before any of the data is read. */
  readonly length: number;
  /**
   * Its bytes, to be gone through once. Each chunk is a buffer of its own, which belongs to whoever takes it. Where it ends early it ends with an error.
   */
  readonly chunks: AsyncIterableIterator<Uint8Array<ArrayBuffer>>;
}

/** {@link StreamedImage} without waiting. */
export interface StreamedImageSync {
  readonly length: number;
  readonly chunks: IterableIterator<Uint8Array<ArrayBuffer>>;
}

/**
 * Makes an image of one disk, or of several behind each other, that is written from its first byte to its last: for a pipe, an upload, or whatever
 * else doesn't let one go back. Its length is known beforehand, and equal disks and options give equal bytes. Nothing is stored in between, and all of
 * it takes constant memory.
 *
 * The sources are only read, and stay open. Nobody may write them meanwhile; what is noticed of it is an error.
 *
 * @param sources - at least one; each counts in whole sectors of 512 bytes (see `sectorAlignedSize`)
 * @throws ImgError `ERR_IMG_UNSUPPORTED` naming what a stream can't have: compression, whose places aren't known beforehand, preallocation, external data
 * files; `ERR_IMG_LIMIT` when the disk is too large for the cluster size; and what reading throws. While the chunks are read: what reading throws;
 * `ERR_IMG_BUSY` when a source was seen to change; the signal's reason
 */
export async function streamImage(sources: readonly FormatAccess[], options: StreamOptions): Promise<StreamedImage> {
  return chunksOf(await runAsync(planChunks(sources, options), options.signal), options, nothing);
}

/**
 * {@link streamImage} without waiting. Nothing is read ahead.
 * @throws ImgError as {@link streamImage}
 */
export function streamImageSync(sources: readonly SyncImage[], options: StreamOptions): StreamedImageSync {
  const source = runSync(planChunks(sources.map(imageOf), options), options.signal);
  return { length: source.length, chunks: eachChunk(source, options) };
}

/**
 * What was planned, for whoever takes it with promises.
 * @param close - called once, when nothing more is read
 */
export function chunksOf(
  source: ChunkSource,
  options: Pick<StreamOptions, "readAhead" | "signal" | "onProgress">,
  close: () => Promise<void>,
): { readonly length: number; readonly chunks: ReadAhead } {
  const { readAhead = 2, signal, onProgress } = options;
  if (!Number.isSafeInteger(readAhead) || readAhead < 0) {
    throw new RangeError(`readAhead ${String(readAhead)}: expected an integer of at least 0`);
  }
  return { length: source.length, chunks: new ReadAhead(source, { readAhead, signal, onProgress, close }) };
}

/** What was planned, for whoever takes it at once. */
export function* eachChunk(
  source: ChunkSource,
  { signal, onProgress }: AbortOptions & Pick<StreamOptions, "onProgress">,
): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  let done = 0;
  for (;;) {
    const chunk = runSync(source.next(), signal);
    if (chunk === undefined) {
      return;
    }
    done += chunk.length;
    onProgress?.({ done, total: source.length });
    yield chunk;
  }
}

async function nothing(): Promise<void> {
  // the sources stay open
}
