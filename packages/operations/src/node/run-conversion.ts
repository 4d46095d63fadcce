import { perform, type FormatAccess, type FormatRegistry, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { convertIo } from "../convert/convert.ts";
import type { ConvertSettings } from "../convert/convert-options.ts";
import type { ConvertImagesOptions, ConvertImagesResult } from "./convert-images.ts";
import { defaultThreads, ReaderThreads } from "./reader-threads.ts";
import { isInFiles, withoutOpeners } from "./thread-specs.ts";

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
