import { all, ImgError, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import { Pacer } from "../pacer.ts";
import type { PartHelper } from "../parts/part-helper.ts";
import { SharedParts } from "../parts/shared-parts.ts";
import { withHelper } from "../parts/with-helper.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { ConvertJob } from "./convert-job.ts";
import { convertSettings, type ConvertOptions, type ConvertResult } from "./convert-options.ts";
import { RateLimit } from "./rate-limit.ts";
import { SourceDisk } from "./source-disk.ts";
import type { SourceReader } from "./source-reader.ts";

/**
 * Copies one disk, or several behind each other, onto another: whatever their formats and storages. What the sources know to be zero
 * isn't read. Nothing is created, resized, synced or closed: a target that is larger than the sources together keeps what it has behind
 * them. After an error or an abort, the target has a part of the data.
 *
 * @param sources - at least one; each counts in whole sectors of 512 bytes (see `sectorAlignedSize`)
 * @param target - writable, and at least as large as the sources together
 * @throws ImgError `ERR_IMG_NO_SPACE` when the target is too small; `ERR_IMG_DENIED` when it is one of the sources, or what one of them is
 * stored in; and what reading and writing throw
 */
export function convert(
  sources: readonly FormatAccess[],
  target: FormatAccess,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  return runAsync(convertIo(sources, target, options), options.signal);
}

/**
 * {@link convert} without waiting. Parts are copied one after the other, whatever `parallel` says.
 * @throws ImgError as {@link convert}
 */
export function convertSync(
  sources: readonly SyncImage[],
  target: SyncImage,
  options: ConvertOptions = {},
): ConvertResult {
  const work = convertIo(sources.map(imageOf), imageOf(target), { ...options, parallel: 1 });
  return runSync(work, options.signal);
}

/** Who helps with a conversion. */
export interface ConvertHelp {
  /** Reads the sources instead of this thread where it can. Default: nobody does. */
  readonly reader?: SourceReader;
  /** Copies parts at the same time, onto a target that takes them in any order. Default: nobody does. */
  readonly helper?: PartHelper;
}

/** {@link convert} for use inside other operations. */
export function* convertIo(
  sources: readonly FormatAccess[],
  target: FormatAccess,
  options: ConvertOptions,
  { reader, helper }: ConvertHelp = {},
): Io<ConvertResult> {
  const settings = convertSettings(options);
  const source = new SourceDisk(sources, options.onUnreadable);
  checkTarget(sources, source, target);
  const parts = helper === undefined ? undefined : new SharedParts(source.size);
  const job = new ConvertJob(source, target, settings, { reader, parts });
  const pacer = new Pacer();
  const limit = settings.rate === Infinity ? undefined : new RateLimit(settings.rate);
  let failed = false;
  let told = 0;
  // what another thread did and couldn't finish, and what is done once more now
  let twice = 0;
  function* work(): Io<void> {
    try {
      while (!failed && (yield* job.step())) {
        const total = source.size;
        const done = Math.min(Math.max(job.done - twice, told), total);
        reader?.consider({ done, total, packed: source.hasPacked });
        if (done < total) {
          options.onProgress?.({ done, total });
          told = done;
        }
        yield* pacer.pause();
        if (helper !== undefined && parts !== undefined) {
          yield* helper.consider(parts);
        }
        if (limit !== undefined) {
          yield* limit.waitFor(job.written);
        }
      }
    } catch (error) {
      // the others are waited for: they needn't finish what is lost
      failed = true;
      throw error;
    }
  }
  const copy = (): Io<unknown> => all(Array.from({ length: settings.parallel }, work), settings.parallel);
  if (helper === undefined || parts === undefined) {
    yield* copy();
  } else {
    yield* withHelper(parts, helper, function* () {
      yield* helper.consider(parts);
      yield* copy();
    });
    const unfinished = [...parts.unfinished()];
    const left = unfinished.reduce((sum, { start, end }) => sum + end - start, 0);
    twice = job.done - (source.size - left);
    for (const part of unfinished) {
      job.begin(part);
      yield* copy();
    }
  }
  if (source.size > 0) {
    options.onProgress?.({ done: source.size, total: source.size });
  }
  return { size: source.size, written: job.written };
}

/** @throws ImgError when `target` can't take what is in `source` */
function checkTarget(sources: readonly FormatAccess[], source: SourceDisk, target: FormatAccess): void {
  // what the target stands on is only read, and may be shared
  const written = new Set(target.driver.storages);
  const names = new Set([...written].map((storage) => storage.identity));
  for (const storage of sources.flatMap((image) => image.storages())) {
    if (written.has(storage) || (storage.identity !== undefined && names.has(storage.identity))) {
      throw new ImgError("ERR_IMG_DENIED", `${storage.label} would be read and written by the same conversion`, {
        subject: storage.label,
      });
    }
  }
  if (target.size < source.size) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `the target has ${String(target.size)} bytes: expected at least ${String(source.size)}`,
    );
  }
}
