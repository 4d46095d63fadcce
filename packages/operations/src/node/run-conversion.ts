import { perform, type FormatAccess, type FormatRegistry, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { convertIo, type ConvertHelp } from "../convert/convert.ts";
import type { ConvertSettings } from "../convert/convert-options.ts";
import { SourceSizes } from "../source-sizes.ts";
import type { ConvertImagesOptions, ConvertImagesResult } from "./convert-images.ts";
import { copyThreads, type SharedFile } from "./copy-threads.ts";
import type { PartThreads } from "./part-threads.ts";
import { ReaderThreads } from "./reader-threads.ts";
import { isInFiles, sharedImages } from "./shared-images.ts";
import { ThreadStarter } from "./thread-starter.ts";

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
 * @param file - the file that is all of the target, if it is one
 */
export function* runConversion(
  conversion: Conversion,
  target: FormatAccess,
  settings: ConvertSettings,
  file?: SharedFile,
): Io<ConvertImagesResult> {
  const { options, sources } = conversion;
  const threads = mayHelp(conversion) ? yield* findThreads(conversion, settings, file) : undefined;
  const sizes = new SourceSizes(sources);
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
    yield* sizes.check();
    onProgress?.({ done: size, total: size });
    options.signal?.throwIfAborted();
    return { size, written, threads: 1 + (threads?.reader?.helped ?? threads?.helper?.helped ?? 0) };
  } finally {
    if (threads?.reader !== undefined) {
      yield* threads.reader.close();
    }
  }
}

/** Other threads know our own formats, and files, only. */
function mayHelp({ options, sources }: Conversion): boolean {
  return options.formats === undefined && sources.every((source, index) => isInFiles(source, options.sources[index]));
}

interface Threads extends ConvertHelp {
  readonly reader?: ReaderThreads;
  readonly helper?: PartThreads;
}

/** The threads that may help; `undefined`: this one does it all, as always without waiting, when it could hear nothing of them. */
function* findThreads(
  conversion: Conversion,
  settings: ConvertSettings,
  file: SharedFile | undefined,
): Io<Threads | undefined> {
  return yield* perform({
    label: "threads",
    async: () => makeThreads(conversion, settings, file),
    sync: () => undefined,
  });
}

function makeThreads(
  { options, sources }: Conversion,
  settings: ConvertSettings,
  file: SharedFile | undefined,
): Threads | undefined {
  const starter = new ThreadStarter(options);
  if (starter.most < 2) {
    return undefined;
  }
  const shared = sharedImages(sources, options.sources);
  // who has to keep to a rate, or to what the target shows already, has nothing to share
  return file === undefined || settings.rate !== Infinity || settings.onlyDifferences
    ? { reader: new ReaderThreads(shared, starter) }
    : { helper: copyThreads({ sources: shared, target: file, settings }, sources, starter) };
}
