import { runSync, StorageDecorator, type FormatAccess, type Storage } from "@img/format-core";

/** A storage that closes an image when it is closed itself: ties the life of what we opened for an image to that image. */
class OwnerStorage extends StorageDecorator {
  readonly #owned: FormatAccess;

  constructor(inner: Storage, owned: FormatAccess) {
    super(inner);
    this.#owned = owned;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      await super[Symbol.asyncDispose]();
    } finally {
      await this.#owned.close();
    }
  }

  override [Symbol.dispose](): void {
    try {
      super[Symbol.dispose]?.();
    } finally {
      runSync(this.#owned.io.close());
    }
  }
}

/** `storage`, which when closed closes `owned` too. */
export function closesWith(storage: Storage, owned: FormatAccess): Storage {
  return new OwnerStorage(storage, owned);
}
