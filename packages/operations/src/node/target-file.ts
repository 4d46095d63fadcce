import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { access, chmod, chown, constants, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Storage } from "@img/format-core";
import { FileStorage, type FileOpenOptions } from "@img/storage-fs";
import type { ConvertTarget } from "./convert-target.ts";
import { refuseSources } from "./refuse-sources.ts";

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
  readonly #publish: () => Promise<void>;
  readonly #discard: () => Promise<void>;

  private constructor(
    storage: FileStorage,
    path: string,
    parts: { isFresh: boolean; publish: () => Promise<void>; discard: () => Promise<void> },
  ) {
    this.storage = storage;
    this.path = path;
    this.isFresh = parts.isFresh;
    this.#publish = parts.publish;
    this.#discard = parts.discard;
  }

  /**
   * Opens or creates the file.
   * @param sources - none of them may be what is written
   * @throws ImgError `ERR_IMG_DENIED` when the target is one of the sources; else as `FileStorage.open` and `create`
   */
  static async prepare(target: ConvertTarget, sources: readonly Storage[]): Promise<TargetFile> {
    const { path } = target;
    const found = await statIfExists(path);
    if (found === undefined) {
      const storage = await FileStorage.create(path, fileOptions(target));
      return new TargetFile(storage, path, { isFresh: true, publish: nothing, discard: () => unlink(path) });
    }
    await refuseSources(path, sources);
    return found.isFile() && found.nlink === 1 && (await canCreateBeside(path))
      ? await TargetFile.#beside(target, found)
      : await TargetFile.#inPlace(target, found);
  }

  static async #inPlace(target: ConvertTarget, found: Stats): Promise<TargetFile> {
    const { path } = target;
    const storage = found.isFile()
      ? await FileStorage.create(path, { ...fileOptions(target), overwrite: true })
      : await FileStorage.open(path, { ...fileOptions(target), writable: true });
    return new TargetFile(storage, path, { isFresh: found.isFile(), publish: nothing, discard: nothing });
  }

  static async #beside(target: ConvertTarget, found: Stats): Promise<TargetFile> {
    const path = await realpath(target.path);
    // held until the end: whoever uses the old file keeps us away, and we them
    const old = await FileStorage.open(path, { ...fileOptions(target), direct: false, writable: true });
    try {
      const name = `.${basename(path).slice(0, 200)}.${randomBytes(6).toString("hex")}.part`;
      const part = join(dirname(path), name);
      const storage = await FileStorage.create(part, { ...fileOptions(target), mode: 0o600 });
      return new TargetFile(storage, part, {
        isFresh: true,
        publish: async () => {
          await likeBefore(part, found);
          await rename(part, path);
          await old.close();
        },
        discard: async () => {
          await unlink(part);
          await old.close();
        },
      });
    } catch (error) {
      await old.close();
      throw error;
    }
  }

  /**
   * The data is complete and the storage closed: makes it what the target's name means.
   * @param options - `sync`: also make the name durable, where the host can
   */
  async publish(options: { readonly sync: boolean }): Promise<void> {
    await this.#publish();
    if (options.sync) {
      await syncDirectory(dirname(this.path));
    }
  }

  /** The conversion failed, and the storage is closed: leaves things as they were, as far as possible. */
  async discard(): Promise<void> {
    try {
      await this.#discard();
    } catch {
      // what made the conversion fail is being reported
    }
  }
}

async function nothing(): Promise<void> {
  // the file is where it belongs already
}

async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch {
    // not every host can, and the data itself is durable
  }
}

async function statIfExists(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

async function canCreateBeside(path: string): Promise<boolean> {
  try {
    await access(dirname(await realpath(path)), constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Gives a new file the owner and the permissions of the one that it replaces, as far as we may. */
async function likeBefore(path: string, before: Stats): Promise<void> {
  try {
    await chown(path, before.uid, before.gid);
  } catch (error) {
    if (!isPermission(error)) throw error;
  }
  await chmod(path, before.mode & 0o7777);
}

function isPermission(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EPERM" || error.code === "EINVAL");
}

function fileOptions(target: ConvertTarget): Pick<FileOpenOptions, "blocking" | "direct" | "native" | "lock"> {
  return {
    blocking: "always",
    direct: target.direct === true,
    ...(target.native === undefined ? {} : { native: target.native }),
    ...(target.lock === undefined ? {} : { lock: target.lock }),
  };
}
