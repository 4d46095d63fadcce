import { closeAfterFailure, tryResizeStorage, type Io, type Storage, type StorageOpener } from "@img/format-core";
import type { NewFile } from "./new-file.ts";
import { refuseShared } from "./refuse-sources.ts";

/**
 * What a new image is written to where that is no file, but of a scheme that somebody has a storage for. It is there already, and is written in place: emptied
 * first where its length can change, and of a fixed length otherwise, as an NBD export or a device is.
 */
export class TargetStorage implements NewFile {
  readonly storage: Storage;
  readonly isFresh: boolean;

  private constructor(storage: Storage, isFresh: boolean) {
    this.storage = storage;
    this.isFresh = isFresh;
  }

  /**
   * Opens it, and empties it.
   * @param sources - what is only read: none of it may be what is written
   * @throws ImgError `ERR_IMG_DENIED` when it is one of the sources; `ERR_IMG_READ_ONLY`; and what opening throws
   */
  static *open(location: string, opener: StorageOpener, sources: readonly Storage[]): Io<TargetStorage> {
    // a server may have one connection only, so that opening what is open already would wait for ever
    refuseShared({ identity: location, label: location }, sources);
    const storage = yield* opener.open(location, { writable: true });
    try {
      refuseShared(storage, sources);
      return new TargetStorage(storage, yield* tryResizeStorage(storage, 0));
    } catch (error) {
      yield* closeAfterFailure(storage);
      throw error;
    }
  }

  *publish(): Io<void> {
    // it has its name
  }

  *discard(): Io<void> {
    // what was there is written over already
  }
}
