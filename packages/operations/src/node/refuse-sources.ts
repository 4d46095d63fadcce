import { closeStorage, ImgError, type Io, type Storage } from "@img/format-core";
import type { FileOpenOptions } from "@img/storage-fs";
import { openFile } from "./open-file.ts";

/**
 * Refuses to write the file at `path` if it is one of `sources`.
 * @throws ImgError `ERR_IMG_DENIED` if it is; else as `FileStorage.open`
 */
export function* refuseSources(
  path: string,
  sources: readonly Storage[],
  { sleeps = true }: Pick<FileOpenOptions, "sleeps"> = {},
): Io<void> {
  const storage = yield* openFile(path, { lock: "off", native: "off", sleeps });
  yield* closeStorage(storage);
  refuseShared(storage, sources);
}

/**
 * Refuses to write what is one of `sources`. What has no identity may be.
 * @throws ImgError `ERR_IMG_DENIED` if it is
 */
export function refuseShared(
  { identity, label }: Pick<Storage, "identity" | "label">,
  sources: readonly Storage[],
): void {
  if (identity !== undefined && sources.some((source) => source.identity === identity)) {
    throw new ImgError("ERR_IMG_DENIED", `${label} would be read and written by the same conversion`, {
      subject: label,
    });
  }
}
