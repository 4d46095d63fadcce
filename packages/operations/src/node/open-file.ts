import { perform, type Io } from "@img/format-core";
import { FileStorage, type FileOpenOptions } from "@img/storage-fs";

/** `FileStorage.open` and `openSync`, as one operation for both worlds. */
export function openFile(path: string, options: FileOpenOptions): Io<FileStorage> {
  return perform({
    label: path,
    async: (signal) => FileStorage.open(path, { ...options, signal }),
    sync: () => FileStorage.openSync(path, options),
  });
}
