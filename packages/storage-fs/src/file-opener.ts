import { realpath, realpathSync } from "node:fs";
import { perform, wrapHostError, type Io, type Storage, type StorageOpener } from "@img/format-core";
import type { FileOpenOptions } from "./file-options.ts";
import { absolutePath, fileLabel } from "./file-path.ts";
import { FileStorage } from "./file-storage.ts";
import { callHost, nodeCall } from "./host-call.ts";

/**
 * The opener of files, for gates: what an image names is opened as a file, whatever it looks like. Whether it may be opened at all is the
 * gate's decision.
 *
 * @param options - for all files that it opens; whether one is writable is said each time
 */
export function fileOpener(options: Omit<FileOpenOptions, "writable" | "signal"> = {}): StorageOpener {
  return {
    *open(location, { writable }): Io<Storage> {
      const all: FileOpenOptions = { ...options, writable };
      return yield* perform<Storage>({
        label: fileLabel(location),
        sync: () => FileStorage.openSync(location, all),
        async: (signal) => FileStorage.open(location, { ...all, signal }),
      });
    },
    *canonical(location): Io<string> {
      const label = fileLabel(location);
      const path = absolutePath(location);
      try {
        return yield* callHost(
          label,
          nodeCall<string>(
            () => realpathSync.native(path),
            (done) => {
              realpath.native(path, done);
            },
          ),
          false,
        );
      } catch (error) {
        throw wrapHostError(error, `cannot find ${label}`, label);
      }
    },
  };
}
