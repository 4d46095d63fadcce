import { closeAfterFailure, ImgError, type Io, type Storage } from "@img/format-core";
import { absolutePath, resolveBeside } from "@img/storage-fs";
import type { ConvertTarget } from "./convert-target.ts";
import { abortable } from "../abortable.ts";
import { openerOf } from "./opener-of.ts";
import type { NewFile } from "./new-file.ts";
import { TargetFile } from "./target-file.ts";
import { targetIdentity } from "./target-name.ts";
import { TargetStorage } from "./target-storage.ts";

/** The files of a new image. */
export interface NewFiles {
  readonly target: NewFile;
  /** The external data file, if there is to be one. */
  readonly data: NewFile | undefined;
}

/** Options of {@link writeNewFiles}. */
export interface NewFilesOptions {
  /** What is only read: none of it may be what is written. */
  readonly sources: readonly Storage[];
  /** Make the names durable; what is in the files, `write` makes. */
  readonly sync: boolean;
  /** Heard as long as all that was there is still there. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes the files of a new image: what was there stays as it is until all is well, and nothing half done stays when it isn't; see
 * {@link TargetFile}. What is no file is written in place.
 *
 * @param write - fills the files and closes their storages
 * @throws ImgError `ERR_IMG_DENIED` when a file is one of the sources, or the image its own data file; `ERR_IMG_UNSUPPORTED` when a relative data
 * file name means one file to us and another one to QEMU; and what `write` throws
 */
export function* writeNewFiles<T>(
  image: ConvertTarget,
  options: NewFilesOptions,
  write: (files: NewFiles) => Io<T>,
): Io<T> {
  const opener = openerOf(image);
  const dataPath = yield* dataFilePath(image);
  if (dataPath !== undefined && opener === undefined) {
    yield* refuseOwnData(image.path, dataPath);
  }
  const target: NewFile =
    opener === undefined
      ? yield* prepare(image, options)
      : yield* abortable(TargetStorage.open(image.path, opener, options.sources), options.signal);
  let data: NewFile | undefined;
  try {
    data = dataPath === undefined ? undefined : yield* prepare({ ...image, path: dataPath }, options);
    const result = yield* write({ target, data });
    if (data !== undefined) {
      yield* data.publish(options);
    }
    // where the data is the new image's, the image has to follow
    yield* target.publish(data === undefined ? options : { sync: options.sync });
    return result;
  } catch (error) {
    for (const each of [target, data]) {
      if (each !== undefined) {
        yield* closeAfterFailure(each.storage);
        yield* each.discard();
      }
    }
    throw error;
  }
}

function prepare(file: ConvertTarget, options: NewFilesOptions): Io<TargetFile> {
  return abortable(TargetFile.prepare(file, options), options.signal);
}

/** QEMU looks for a relative name where it runs, we look beside the image: a name that isn't the same file to both is refused. */
function* dataFilePath({ path, dataFile }: ConvertTarget): Io<string | undefined> {
  if (dataFile === undefined) {
    return undefined;
  }
  const found = resolveBeside(path, dataFile);
  const theirs = absolutePath(dataFile);
  if (found !== theirs && (yield* targetIdentity(found)) !== (yield* targetIdentity(theirs))) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `data file ${JSON.stringify(dataFile)}: beside the image that is ${found}, but to QEMU it is ${theirs}: expected an absolute name`,
      { feature: "external data file" },
    );
  }
  return found;
}

/** Two names may be those of one file, which links lead to, and which needn't be there yet. */
function* refuseOwnData(path: string, dataPath: string): Io<void> {
  if ((yield* targetIdentity(path)) === (yield* targetIdentity(dataPath))) {
    throw new ImgError("ERR_IMG_DENIED", `${path}: an image can't be its own data file`);
  }
}
