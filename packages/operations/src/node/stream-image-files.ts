import { sep } from "node:path";
import { runAsync, runSync, type FormatAccess, type FormatRegistry, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import type { ChunkSource } from "../stream/chunk-source.ts";
import { planChunks } from "../stream/plan-chunks.ts";
import { chunksOf, eachChunk, type StreamedImage, type StreamedImageSync } from "../stream/stream-image.ts";
import type { StreamOptions } from "../stream/stream-options.ts";
import { defaultFormats } from "./default-formats.ts";
import type { ConvertTarget } from "./convert-target.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openImageIo } from "./open-image.ts";
import { openNewBacking } from "./open-new-backing.ts";
import { withImages } from "./with-images.ts";

/** Options of {@link streamImageFiles}. */
export interface StreamImageFilesOptions
  extends Omit<StreamOptions, "backing" | "noSnapshotsBelow">, Pick<ConvertTarget, "storages" | "gate"> {
  /** The formats of the sources, and of the image below. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
  /** Where the image will lie: a relative name of the image below is relative to it. Default: the working directory. */
  readonly directory?: string;
}

/** An image that is sent somewhere, and the files that it is made of. */
export interface StreamedImageFiles extends StreamedImage, AsyncDisposable {
  /** Closes the files, which happens by itself where the chunks end, fail, or aren't wanted any more. May be called again. */
  close(): Promise<void>;
}

/** {@link StreamedImageFiles} without waiting. */
export interface StreamedImageFilesSync extends StreamedImageSync, Disposable {
  /** As {@link StreamedImageFiles.close}. */
  close(): void;
}

/**
 * {@link streamImage} of images in files, which are opened for it: what `img convert … -` does.
 * @param sources - at least one
 * @throws ImgError as `streamImage` and `openImage`
 */
export async function streamImageFiles(
  sources: readonly ImageSpec[],
  options: StreamImageFilesOptions,
): Promise<StreamedImageFiles> {
  const { source, images } = await runAsync(openAndPlan(sources, options));
  let chunks;
  try {
    chunks = chunksOf(source, options, () => runAsync(closeAll(images)));
  } catch (error) {
    await runAsync(closeAll(images));
    throw error;
  }
  const close = (): Promise<void> => chunks.chunks.close();
  return { ...chunks, close, [Symbol.asyncDispose]: close };
}

/**
 * {@link streamImageFiles} without waiting.
 * @throws ImgError as {@link streamImageFiles}
 */
export function streamImageFilesSync(
  sources: readonly ImageSpec[],
  options: StreamImageFilesOptions,
): StreamedImageFilesSync {
  const { source, images } = runSync(openAndPlan(sources, options));
  let isOpen = true;
  const close = (): void => {
    if (isOpen) {
      isOpen = false;
      runSync(closeAll(images));
    }
  };
  function* closing(): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    try {
      yield* eachChunk(source, options);
    } finally {
      close();
    }
  }
  return { length: source.length, chunks: closing(), close, [Symbol.dispose]: close };
}

function* openAndPlan(
  sources: readonly ImageSpec[],
  options: StreamImageFilesOptions,
): Io<{ readonly source: ChunkSource; readonly images: readonly FormatAccess[] }> {
  const formats = options.formats ?? defaultFormats(...sources);
  const images: FormatAccess[] = [];
  try {
    for (const spec of sources) {
      images.push(yield* openImageIo({ blocking: "small", ...spec, writable: false }, { ...options, formats }));
    }
    const backing = yield* openNewBacking(targetOf(options), formats);
    const noSnapshotsBelow = !sources.some(hasSnapshotBelow);
    const planned = { ...options, noSnapshotsBelow, ...(backing === undefined ? {} : { backing }) };
    const opened = [...images];
    if (backing !== undefined) {
      images.push(backing);
    }
    return { source: yield* abortable(planChunks(opened, planned), options.signal), images };
  } catch (error) {
    for (const image of images) {
      // what failed is told, not how closing failed after that
      yield* quietly(image.io.close());
    }
    throw error;
  }
}

/** The image that the stream will be, as far as the one below it is concerned. */
function targetOf(options: StreamImageFilesOptions): ConvertTarget {
  const { backingFile, storages, gate, format, directory = "." } = options;
  return {
    // a name that no image can have
    path: `${directory}${sep}`,
    format,
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(storages === undefined ? {} : { storages }),
    ...(gate === undefined ? {} : { gate }),
  };
}

/** What images open by themselves, they show as it is. */
function hasSnapshotBelow({ backing }: ImageSpec): boolean {
  return backing !== undefined && backing !== null && (backing.snapshot !== undefined || hasSnapshotBelow(backing));
}

function* closeAll(images: readonly FormatAccess[]): Io<void> {
  yield* withImages(images, function* () {
    // nothing is left to do with them
  });
}

function* quietly(io: Io<void>): Io<void> {
  try {
    yield* io;
  } catch {
    // told by the caller
  }
}
