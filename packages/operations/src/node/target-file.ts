import { randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  type Stats,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { closeStorage, type Io, type Storage } from "@img/format-core";
import type { FileOpenOptions, FileStorage } from "@img/storage-fs";
import { askHost } from "./ask-host.ts";
import type { ConvertTarget } from "./convert-target.ts";
import type { SharedFile } from "./copy-threads.ts";
import { createFile } from "./create-file.ts";
import { access, chmod, chown, realpath, rename, stat, unlink } from "./host-files.ts";
import { openFile } from "./open-file.ts";
import { refuseSources } from "./refuse-sources.ts";
import { syncDirectory } from "./sync-directory.ts";

/** Bytes that are written before the disk is to begin with them: less than the host lets pile up, more than makes requests small. */
const writeBehind = 16 * 1024 * 1024;

type FileOptions = Pick<FileOpenOptions, "blocking" | "direct" | "native" | "lock" | "writeBehind">;

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
 * - A file that exists stays as it is until a new one beside it is complete, which then takes its name, owner and permissions. Until
 *   then there must be room for both.
 * - Block devices, files with several names (hard links) and files in directories where nothing can be created are written in place.
 */
export class TargetFile {
  /** Where the data goes. */
  readonly storage: FileStorage;
  /** The name of {@link storage} while it is written. */
  readonly path: string;
  /** Whether it is empty, so that whatever it gains reads as zero. */
  readonly isFresh: boolean;
  /** What another thread needs to write to it too, while {@link storage} is open. */
  readonly shared: SharedFile;
  readonly #publish: () => Io<void>;
  readonly #discard: () => Io<void>;

  private constructor(
    storage: FileStorage,
    path: string,
    parts: { options: FileOptions; isFresh: boolean; publish: () => Io<void>; discard: () => Io<void> },
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
    const { path } = target;
    const options = fileOptions(target, sync);
    const found = yield* statIfExists(path);
    if (found === undefined) {
      const storage = yield* createFile(path, options);
      return new TargetFile(storage, path, { options, isFresh: true, publish: nothing, discard: () => remove(path) });
    }
    yield* refuseSources(path, sources);
    return found.isFile() && found.nlink === 1 && (yield* canCreateBeside(path))
      ? yield* TargetFile.#beside(path, found, options)
      : yield* TargetFile.#inPlace(path, found, options);
  }

  static *#inPlace(path: string, found: Stats, options: FileOptions): Io<TargetFile> {
    const isFresh = found.isFile();
    const storage = isFresh
      ? yield* createFile(path, { ...options, overwrite: true })
      : yield* openFile(path, { ...options, writable: true });
    return new TargetFile(storage, path, { options, isFresh, publish: nothing, discard: nothing });
  }

  static *#beside(name: string, found: Stats, options: FileOptions): Io<TargetFile> {
    const path = yield* realPath(name);
    // held until the end: whoever uses the old file keeps us away, and we them
    const old = yield* openFile(path, { ...options, direct: false, writable: true });
    try {
      const part = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString("hex")}.part`);
      const storage = yield* createFile(part, { ...options, mode: 0o600 });
      return new TargetFile(storage, part, {
        options,
        isFresh: true,
        *publish() {
          yield* likeBefore(part, found);
          yield* move(part, path);
          yield* closeStorage(old);
        },
        *discard() {
          try {
            yield* remove(part);
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
   */
  *publish(options: { readonly sync: boolean }): Io<void> {
    yield* this.#publish();
    if (options.sync) {
      yield* syncDirectory(dirname(this.path));
    }
  }

  /** The conversion failed, and the storage is closed: leaves things as they were, as far as possible. */
  *discard(): Io<void> {
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

function* statIfExists(path: string): Io<Stats | undefined> {
  try {
    return yield* askHost(
      path,
      () => stat(path),
      () => statSync(path),
    );
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

function* canCreateBeside(path: string): Io<boolean> {
  try {
    const directory = dirname(yield* realPath(path));
    const mode = constants.W_OK | constants.X_OK;
    yield* askHost(
      directory,
      () => access(directory, mode),
      () => {
        accessSync(directory, mode);
      },
    );
    return true;
  } catch {
    return false;
  }
}

function realPath(path: string): Io<string> {
  return askHost(
    path,
    () => realpath(path),
    () => realpathSync.native(path),
  );
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

/**
 * Gives a new file the owner and the permissions of the one that it replaces, as far as we may: where it can't have the group, our own doesn't get what that one
 * was allowed.
 */
function* likeBefore(path: string, { uid, gid, mode }: Stats): Io<void> {
  let permissions = mode & 0o7777;
  try {
    yield* askHost(
      path,
      () => chown(path, uid, gid),
      () => {
        chownSync(path, uid, gid);
      },
    );
  } catch (error) {
    if (!isPermission(error)) throw error;
    permissions &= 0o707;
  }
  yield* askHost(
    path,
    () => chmod(path, permissions),
    () => {
      chmodSync(path, permissions);
    },
  );
}

function isPermission(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EPERM" || error.code === "EINVAL");
}

/** @param sync - the file is going to be made durable: the disk may begin while there is more to write */
function fileOptions(target: ConvertTarget, sync: boolean): FileOptions {
  return {
    blocking: target.blocking ?? "small",
    direct: target.direct === true,
    ...(sync ? { writeBehind } : {}),
    ...(target.native === undefined ? {} : { native: target.native }),
    ...(target.lock === undefined ? {} : { lock: target.lock }),
  };
}
