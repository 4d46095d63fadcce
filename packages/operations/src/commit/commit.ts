import {
  all,
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatDriver,
  type Io,
} from "@img/format-core";
import { RateLimit } from "../convert/rate-limit.ts";
import { sectorAlignedSize } from "../image-size.ts";
import { Pacer } from "../pacer.ts";
import type { Progress } from "../progress.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { CommitJob } from "./commit-job.ts";
import { layersAbove } from "./layers-above.ts";

/** Options of {@link commit}, apart from the images. */
export interface CommitSettings extends AbortOptions {
  /**
   * Whether the image is emptied when all is safe in the base, so that it takes no room and shows the base. Only when the base is right below. Default:
   * `true` if it is.
   */
  readonly empty?: boolean;
  /** Most bytes that are written as data in a second. Without waiting for promises, the thread sleeps meanwhile. Default: as many as possible. */
  readonly rate?: number;
  /** Parts that may be in flight at once, where storages answer later. Default 8. */
  readonly parallel?: number;
  /** Called between parts. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Options of {@link commit}. */
export interface CommitOptions extends CommitSettings {
  /** The image that is written: one of those below. Default: the one right below. */
  readonly base?: FormatAccess;
}

/** Options of {@link commitSync}. */
export interface CommitSyncOptions extends Omit<CommitSettings, "parallel"> {
  /** The image that is written: one of those below. Default: the one right below. */
  readonly base?: SyncImage;
}

/** What {@link commit} did. */
export interface CommitResult {
  /** Bytes that were written as data. */
  readonly written: number;
  /** Whether the image was emptied. */
  readonly emptied: boolean;
}

/** What a driver of a format has beside the rest whose images can be emptied at once. */
interface EmptyingDriver {
  makeEmpty(): Io<void>;
}

/**
 * Puts what an image, and those between it and the base, have of a disk into the base: what `qemu-img commit` does. The base grows if it is smaller. Then
 * the base is made durable, and only after that the image is emptied: whatever happens, the image shows the disk that it showed.
 *
 * Nobody else may write to one of the images meanwhile. What else stands on the base shows another disk afterwards, and so do images in between, which
 * are of no use any more.
 *
 * @param image - writable, if it is to be emptied; its base has to be writable, too
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"backing image"` when there is no base, with `"snapshots"` when an image above the base has
 * snapshots, which would show another disk; `ERR_IMG_READ_ONLY` when the base isn't writable. Nothing is written then.
 */
export function commit(image: FormatAccess, options: CommitOptions = {}): Promise<CommitResult> {
  return runAsync(commitIo(image, options), options.signal);
}

/**
 * {@link commit} without waiting. Parts are copied one after the other.
 * @throws ImgError as {@link commit}
 */
export function commitSync(image: SyncImage, options: CommitSyncOptions = {}): CommitResult {
  const { base, ...settings } = options;
  const work = commitIo(imageOf(image), {
    ...settings,
    ...(base === undefined ? {} : { base: imageOf(base) }),
    parallel: 1,
  });
  return runSync(work, options.signal);
}

/** {@link commit} for use inside other operations. */
export function* commitIo(image: FormatAccess, options: CommitOptions): Io<CommitResult> {
  const { layers, base } = layersAbove(image, options.base);
  const direct = layers.length === 1;
  const { empty = direct } = options;
  checkImages(layers, base, empty);
  if (empty && !direct) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "only an image right above the base can be emptied", {
      feature: "empty",
    });
  }
  if (sectorAlignedSize(base) < image.size) {
    yield* base.io.resizeGrow(image.size, "none");
  }
  const job = new CommitJob(layers, image, base);
  yield* copyAll(job, image.size, options);
  yield* base.io.flush();
  yield* base.io.sync();
  if (empty) {
    yield* makeEmpty(image);
  }
  return { written: job.written, emptied: empty };
}

function checkImages(layers: readonly FormatAccess[], base: FormatAccess, empty: boolean): void {
  for (const image of [base, ...(empty ? layers : [])]) {
    if (!image.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${String(image)} is read-only`);
    }
  }
  const spoilt = layers.find(({ driver }) => (driver.describe?.().snapshots ?? []).length > 0);
  if (spoilt !== undefined) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${String(spoilt)} has snapshots, which would show another disk when the image below is written`,
      { feature: "snapshots" },
    );
  }
}

function* copyAll(job: CommitJob, total: number, options: CommitOptions): Io<void> {
  const { rate, parallel = 8, onProgress } = options;
  const limit = rate === undefined || rate === Infinity ? undefined : new RateLimit(rate);
  const pacer = new Pacer();
  let failed = false;
  function* work(): Io<void> {
    try {
      while (!failed && (yield* job.step())) {
        onProgress?.({ done: job.done, total });
        yield* pacer.pause();
        if (limit !== undefined) {
          yield* limit.waitFor(job.written);
        }
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  }
  yield* all(Array.from({ length: parallel }, work), parallel);
}

function* makeEmpty(image: FormatAccess): Io<void> {
  const { driver } = image;
  if (isEmptying(driver)) {
    yield* image.io.exclusive(() => driver.makeEmpty());
  } else {
    yield* image.io.discardToBacking(0, image.size);
  }
  yield* image.io.flush();
  yield* image.io.sync();
}

function isEmptying(driver: FormatDriver): driver is FormatDriver & EmptyingDriver {
  return "makeEmpty" in driver && typeof driver.makeEmpty === "function";
}
