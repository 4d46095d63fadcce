import {
  openerForLocation,
  perform,
  type FormatAccess,
  type FormatRegistry,
  type Io,
  type StorageOpeners,
} from "@img/format-core";
import { abortable } from "../abortable.ts";
import { convertIo } from "../convert/convert.ts";
import type { ConvertSettings } from "../convert/convert-options.ts";
import type { Progress } from "../progress.ts";
import type { ConvertImagesOptions, ConvertImagesResult } from "./convert-images.ts";
import { ConvertThreads, defaultThreads } from "./convert-threads.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openerOf } from "./opener-of.ts";
import { SharedCursor } from "./shared-cursor.ts";

/** A conversion whose sources are open. */
export interface Conversion {
  readonly options: ConvertImagesOptions;
  readonly settings: ConvertSettings;
  readonly formats: FormatRegistry;
  readonly sources: readonly FormatAccess[];
}

/** Where a conversion writes. */
export interface Destination {
  /** The file under which other threads find the target now. */
  readonly path: string;
  readonly settings: ConvertSettings;
}

/** How often progress is told while other threads finish, in milliseconds. */
const progressInterval = 100;

/** Copies the data, with the help of threads where that is possible and worth it. */
export function* runConversion(
  conversion: Conversion,
  target: FormatAccess,
  destination: Destination,
): Io<ConvertImagesResult> {
  const { options, sources } = conversion;
  const { signal } = options;
  const cursor = new SharedCursor();
  const stop = (): void => {
    cursor.stop();
  };
  signal?.addEventListener("abort", stop);
  const threads = mayHelp(conversion, target) ? yield* findThreads(conversion, destination, cursor) : undefined;
  const onProgress = (progress: Progress): void => {
    threads?.consider(progress.done, progress.total);
    options.onProgress?.(progress);
  };
  const unreadable = options.onUnreadable === undefined ? {} : { onUnreadable: options.onUnreadable };
  try {
    const work = convertIo(sources, target, { ...destination.settings, ...unreadable, onProgress }, cursor);
    const { size } = yield* abortable(work, signal);
    const tell = (): void => options.onProgress?.({ done: cursor.done, total: size });
    if (threads !== undefined) {
      yield* joinThreads(threads, tell);
    }
    tell();
    signal?.throwIfAborted();
    if (cursor.done !== size) {
      throw new Error(`a thread ended early: ${String(cursor.done)} of ${String(size)} bytes are converted`);
    }
    return { size, written: cursor.written, threads: 1 + (threads?.helped ?? 0) };
  } catch (error) {
    cursor.stop();
    if (threads !== undefined) {
      yield* waitForThreads(threads);
    }
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Other threads have no part in our locks, so they may only write where bytes go to fixed places and no block is read and rewritten. They know
 * our own formats, and files, only. What has to be told as it comes, or to be counted together, is for one thread.
 */
function mayHelp({ options, settings, sources }: Conversion, target: FormatAccess): boolean {
  if (options.onUnreadable !== undefined || settings.rate !== Infinity) {
    return false;
  }
  const inFiles = sources.every((source, index) => isInFiles(source, options.sources[index]));
  if (openerOf(options.target) !== undefined || !inFiles) {
    return false;
  }
  return options.formats === undefined && target.driver.format === "raw" && target.requestAlignment === 1;
}

/** Whether an image, and all below, lie in files that another thread can open as well. */
function isInFiles(image: FormatAccess, spec: ImageSpec | undefined): boolean {
  const openers = openersOf(spec);
  const isForeign = (location: string | undefined): boolean =>
    openers.some((each) => location === undefined || openerForLocation(location, each) !== undefined);
  return !image.storages().some(({ location }) => isForeign(location));
}

/** Everything beside files that an image, or one that is given to be below, may lie in. */
function openersOf(spec: ImageSpec | null | undefined): StorageOpeners[] {
  if (spec === null || spec === undefined) {
    return [];
  }
  return [...(spec.storages === undefined ? [] : [spec.storages]), ...openersOf(spec.backing)];
}

/** What another thread can be told of an image: openers are functions, which stay where they are. */
function withoutOpeners({ storages: _, backing, ...spec }: ImageSpec): ImageSpec {
  return {
    ...spec,
    ...(backing === undefined ? {} : { backing: backing === null ? null : withoutOpeners(backing) }),
  };
}

/** The threads that may help; `undefined`: this one does it all, as always without waiting, when nobody could hear of how others fare. */
function* findThreads(
  conversion: Conversion,
  destination: Destination,
  cursor: SharedCursor,
): Io<ConvertThreads | undefined> {
  return yield* perform({
    label: "threads",
    async: () => makeThreads(conversion, destination, cursor),
    sync: () => undefined,
  });
}

function makeThreads(
  { options }: Conversion,
  { path, settings }: Destination,
  cursor: SharedCursor,
): ConvertThreads | undefined {
  const most = options.threads ?? defaultThreads();
  if (most < 2) {
    return undefined;
  }
  const { native } = options.target;
  const target = { path, format: "raw", writable: true, ...(native === undefined ? {} : { native }) };
  const entry = options.workerEntry ?? new URL("./node-worker.js", import.meta.url);
  return new ConvertThreads(
    { sources: options.sources.map(withoutOpeners), target, settings, cursor: cursor.memory },
    cursor,
    most,
    entry,
  );
}

/** Waits for other threads, and meanwhile tells how far they are. */
function joinThreads(threads: ConvertThreads, tell: () => void): Io<void> {
  return perform({
    label: "threads",
    async: async () => {
      const timer = setInterval(tell, progressInterval);
      try {
        await threads.join();
      } finally {
        clearInterval(timer);
      }
    },
  });
}

/** Waits for other threads because something failed. */
function waitForThreads(threads: ConvertThreads): Io<void> {
  return perform({ label: "threads", async: () => threads.join().catch(() => undefined) });
}
