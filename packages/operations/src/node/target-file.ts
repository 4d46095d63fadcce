import { randomBytes } from "node:crypto";
import { renameSync, unlinkSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  closeAfterFailure,
  closeStorage,
  ImgError,
  isImgError,
  syncStorage,
  type Io,
  type Storage,
} from "@img/format-core";
import type { FileOpenOptions, FileStorage } from "@img/storage-fs";
import { askHost } from "./ask-host.ts";
import { copyFile } from "./copy-file.ts";
import type { ConvertTarget } from "./convert-target.ts";
import type { SharedFile } from "./copy-threads.ts";
import { createFile } from "./create-file.ts";
import { rename, unlink } from "./host-files.ts";
import { likeBefore, type ReplacedFile } from "./like-before.ts";
import type { NewFile, PublishOptions } from "./new-file.ts";
import { openFile } from "./open-file.ts";
import { refuseSources } from "./refuse-sources.ts";
import { syncDirectory } from "./sync-directory.ts";
import { findTarget, forbidsNames, replaceablePath } from "./target-name.ts";

/** Bytes that are written before the disk is to begin with them: less than the host lets pile up, more than makes requests small. */
const writeBehind = 16 * 1024 * 1024;

/** Bytes of a file's name that the name of the one beside it begins with: some file systems have room for 143 only. */
const longestBeginning = 100;

type FileOptions = Pick<FileOpenOptions, "blocking" | "direct" | "native" | "lock" | "sleeps" | "writeBehind">;

/** How a {@link TargetFile} is prepared. */
interface PrepareOptions {
  /** What is only read: none of it may be what is written. */
  readonly sources: readonly Storage[];
  /** The file will be made durable. */
  readonly sync: boolean;
}

/**
 * The file that a conversion writes, and what becomes of it: nothing that was there is lost until the conversion has succeeded, and
 * nothing half done stays when it fails.
 *
 * - What doesn't exist is created, and removed after a failure.
 * - A file that exists stays as it is until a new one beside it is complete, which then takes its name, owner, permissions and
 *   extended attributes. Until then there must be room for both.
 * - Block devices, files with several names (hard links), files that are mounted, and files in directories where nothing can be created, or where we may
 *   not rename what is others' (the sticky bit), are written in place. So is, at the end, a file whose name the host doesn't let go for another reason.
 */
export class TargetFile implements NewFile {
  /** Where the data goes. */
  readonly storage: FileStorage;
  /** The name of {@link storage} while it is written. */
  readonly path: string;
  /** Whether it is empty, so that whatever it gains reads as zero. */
  readonly isFresh: boolean;
  /** What another thread needs to write to it too, while {@link storage} is open. */
  readonly shared: SharedFile;
  readonly #publish: (options: PublishOptions) => Io<void>;
  readonly #discard: () => Io<void>;
  #isPublished = false;

  private constructor(
    storage: FileStorage,
    path: string,
    parts: {
      readonly options: FileOptions;
      readonly isFresh: boolean;
      readonly publish: (options: PublishOptions) => Io<void>;
      readonly discard: () => Io<void>;
    },
  ) {
    const { direct, native, writeBehind: behind } = parts.options;
    this.storage = storage;
    this.path = path;
    this.shared = {
      path,
      file: storage.identity,
      options: {
        ...(direct === undefined ? {} : { direct }),
        ...(native === undefined ? {} : { native }),
        ...(behind === undefined ? {} : { writeBehind: behind }),
      },
    };
    this.isFresh = parts.isFresh;
    this.#publish = parts.publish;
    this.#discard = parts.discard;
  }

  /**
   * Opens or creates the file.
   * @throws ImgError `ERR_IMG_DENIED` when the target is one of the sources; else as `FileStorage.open` and `create`
   */
  static *prepare(target: ConvertTarget, { sources, sync }: PrepareOptions): Io<TargetFile> {
    const options = fileOptions(target, sync);
    const { path, found } = yield* findTarget(target.path);
    if (found === undefined) {
      const storage = yield* createFile(path, options);
      return new TargetFile(storage, path, { options, isFresh: true, publish: nothing, discard: () => remove(path) });
    }
    yield* refuseSources(path, sources, options);
    const replaceable = yield* replaceablePath(path, found);
    return (
      (replaceable === undefined ? undefined : yield* TargetFile.#beside(replaceable, found, options)) ??
      (yield* TargetFile.#inPlace(path, found, options))
    );
  }

  static *#inPlace(path: string, found: Stats, options: FileOptions): Io<TargetFile> {
    const isFresh = found.isFile();
    const storage = isFresh
      ? yield* createFile(path, { ...options, overwrite: true })
      : yield* openFile(path, { ...options, writable: true });
    return new TargetFile(storage, path, { options, isFresh, publish: nothing, discard: nothing });
  }

  /** @returns `undefined`: there can't be a file beside it */
  static *#beside(path: string, found: Stats, options: FileOptions): Io<TargetFile | undefined> {
    // held until the end: whoever uses the old file keeps us away, and we them
    const old = yield* openFile(path, { ...options, direct: false, writable: true });
    try {
      const part = join(dirname(path), `.${shortened(basename(path))}.${randomBytes(6).toString("hex")}.part`);
      const storage = yield* createPart(part, options);
      if (storage === undefined) {
        yield* closeStorage(old);
        return undefined;
      }
      let isWanted = false;
      return new TargetFile(storage, part, {
        options,
        isFresh: true,
        *publish({ sync, signal }) {
          if (yield* takeName(part, { path, stats: found, native: options.native })) {
            // the name is another file's now, and nothing was written to this one
            yield* closeAfterFailure(old);
            return;
          }
          signal?.throwIfAborted();
          isWanted = true;
          yield* replaceContents(old, part, sync);
          yield* removeIfPossible(part);
        },
        *discard() {
          try {
            if (!isWanted) yield* remove(part);
          } finally {
            yield* closeStorage(old);
          }
        },
      });
    } catch (error) {
      yield* closeStorage(old);
      throw error;
    }
  }

  /**
   * The data is complete and the storage closed: makes it what the target's name means.
   * @param options - `sync`: also make the name durable, where the host can
   * @throws ImgError that names the complete file beside the target, when what is in it couldn't be copied either; the signal's reason, when what was there
   * would have to be written over
   */
  *publish(options: PublishOptions): Io<void> {
    yield* this.#publish(options);
    this.#isPublished = true;
    if (options.sync) {
      yield* syncDirectory(dirname(this.path));
    }
  }

  /** The conversion failed, and the storage is closed: leaves things as they were, as far as possible. What was published stays: others may need it. */
  *discard(): Io<void> {
    if (this.#isPublished) {
      return;
    }
    try {
      yield* this.#discard();
    } catch {
      // what made the conversion fail is being reported
    }
  }
}

function* nothing(): Io<void> {
  // the file is where it belongs already
}

/** Letters at the beginning of a name, few enough that file systems have room for more. */
function shortened(name: string): string {
  let text = "";
  for (const letter of name) {
    if (Buffer.byteLength(text + letter) > longestBeginning) break;
    text += letter;
  }
  return text;
}

/** @returns `undefined`: the host doesn't let us */
function* createPart(part: string, options: FileOptions): Io<FileStorage | undefined> {
  try {
    return yield* createFile(part, { ...options, mode: 0o600 });
  } catch (error) {
    if (forbidsNames(error)) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Gives a complete file the name of the one that it replaces, and what else that one had.
 * @returns `false`: the host doesn't let us
 */
function* takeName(part: string, replaced: ReplacedFile): Io<boolean> {
  try {
    yield* likeBefore(part, replaced);
    yield* move(part, replaced.path);
    return true;
  } catch {
    return false;
  }
}

/** Where the host doesn't let a complete file take another one's name: copies what is in it, and closes the other one. */
function* replaceContents(old: FileStorage, part: string, sync: boolean): Io<void> {
  try {
    yield* copyFile(part, old, { lock: "off" });
    if (sync) {
      yield* syncStorage(old);
    }
    yield* closeStorage(old);
  } catch (cause) {
    yield* closeAfterFailure(old);
    const code = isImgError(cause) ? cause.code : "ERR_IMG_IO";
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ImgError(code, `${reason}; all of the new file is in ${part}`, { subject: old.label, cause });
  }
}

/** A complete copy that stays beside its target does no harm. */
function* removeIfPossible(path: string): Io<void> {
  try {
    yield* remove(path);
  } catch {
    // the target is what it should be
  }
}

function move(from: string, to: string): Io<void> {
  return askHost(
    from,
    () => rename(from, to),
    () => {
      renameSync(from, to);
    },
  );
}

function remove(path: string): Io<void> {
  return askHost(
    path,
    () => unlink(path),
    () => {
      unlinkSync(path);
    },
  );
}

/** @param sync - the file is going to be made durable: the disk may begin while there is more to write */
function fileOptions(target: ConvertTarget, sync: boolean): FileOptions {
  return {
    blocking: target.blocking ?? "small",
    direct: target.direct === true,
    ...(sync ? { writeBehind } : {}),
    ...(target.native === undefined ? {} : { native: target.native }),
    ...(target.lock === undefined ? {} : { lock: target.lock }),
    ...(target.sleeps === undefined ? {} : { sleeps: target.sleeps }),
  };
}
