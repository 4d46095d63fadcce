import { ImgError, invalidateStorage, type FormatAccess, type Io, type Storage } from "@img/format-core";

/**
 * How long the storages of sources are when work on them begins. Bytes past a storage's end read as zero, so where somebody cuts one meanwhile, nothing
 * that reads it fails.
 */
export class SourceSizes {
  /** Whose size is known. */
  readonly #storages: readonly { readonly storage: Storage; readonly size: number }[];

  /** @param sources - with all images below them */
  constructor(sources: readonly FormatAccess[]) {
    const storages = new Set(sources.flatMap((source) => source.storages()));
    this.#storages = [...storages]
      .map((storage) => ({ storage, size: storage.size }))
      .filter(({ size }) => size !== Infinity);
  }

  /**
   * Asks all storages for their size now; those that are open for writing may hold changes, and are taken at their word.
   * @throws ImgError `ERR_IMG_BUSY` when one is shorter than it was. One that is longer has all that was read.
   */
  *check(): Io<void> {
    for (const { storage, size } of this.#storages) {
      if (!storage.writable) {
        yield* invalidateStorage(storage);
      }
      if (storage.size < size) {
        throw new ImgError(
          "ERR_IMG_BUSY",
          `${storage.label} has ${String(storage.size)} bytes now: expected at least ${String(size)}, as when it began to be read`,
          { subject: storage.label },
        );
      }
    }
  }
}
