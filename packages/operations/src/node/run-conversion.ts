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
import type { ConvertImagesOptions, ConvertImagesResult } from "./convert-images.ts";
import type { ImageSpec } from "./image-spec.ts";
import { defaultThreads, ReaderThreads } from "./reader-threads.ts";

/** A conversion whose sources are open. */
export interface Conversion {
  readonly options: ConvertImagesOptions;
  readonly settings: ConvertSettings;
  readonly formats: FormatRegistry;
  readonly sources: readonly FormatAccess[];
}

/**
 * Copies the data, with the help of threads where that is possible and worth it.
 * @param settings - those of the conversion, as the target makes them
 */
export function* runConversion(
  conversion: Conversion,
  target: FormatAccess,
  settings: ConvertSettings,
): Io<ConvertImagesResult> {
  const { options, sources } = conversion;
  const threads = mayHelp(conversion) ? yield* findThreads(options) : undefined;
  const { onUnreadable, onProgress } = options;
  const work = convertIo(
    sources,
    target,
    {
      ...settings,
      ...(onUnreadable === undefined ? {} : { onUnreadable }),
      ...(onProgress === undefined ? {} : { onProgress }),
    },
    threads,
  );
  try {
    const { size, written } = yield* abortable(work, options.signal);
    onProgress?.({ done: size, total: size });
    options.signal?.throwIfAborted();
    return { size, written, threads: 1 + (threads?.helped ?? 0) };
  } finally {
    if (threads !== undefined) {
      yield* threads.close();
    }
  }
}

/** Other threads know our own formats, and files, only. */
function mayHelp({ options, sources }: Conversion): boolean {
  return options.formats === undefined && sources.every((source, index) => isInFiles(source, options.sources[index]));
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

/** The threads that may help; `undefined`: this one does it all, as always without waiting, when it could hear nothing of them. */
function* findThreads(options: ConvertImagesOptions): Io<ReaderThreads | undefined> {
  return yield* perform({ label: "threads", async: () => makeThreads(options), sync: () => undefined });
}

function makeThreads({
  sources,
  threads = defaultThreads(),
  workerEntry,
}: ConvertImagesOptions): ReaderThreads | undefined {
  const entry = workerEntry ?? new URL("./node-worker.js", import.meta.url);
  return threads < 2 ? undefined : new ReaderThreads(sources.map(withoutOpeners), threads, entry);
}
