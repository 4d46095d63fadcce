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
  for (const source of sources) {
    if (source.identity === storage.identity) {
      throw new ImgError("ERR_IMG_DENIED", `${storage.label} would be read and written by the same conversion`, {
        subject: storage.label,
      });
    }
  }
}
