import { perform, type Io } from "@img/format-core";
import { FileStorage, type FileCreateOptions } from "@img/storage-fs";

/** `FileStorage.create` and `createSync`, as one operation for both worlds. */
export function createFile(path: string, options: FileCreateOptions): Io<FileStorage> {
  return perform({
    label: path,
    async: (signal) => FileStorage.create(path, { ...options, signal }),
    sync: () => FileStorage.createSync(path, options),
  });
}
