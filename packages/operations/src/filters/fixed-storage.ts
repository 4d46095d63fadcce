import { StorageDecorator, type Storage } from "@img/format-core";

/** A storage that can't be resized, whatever the one behind it can. */
export class FixedStorage extends StorageDecorator {
  constructor(inner: Storage) {
    super(inner);
    Object.defineProperty(this, "resize", { value: undefined });
    Object.defineProperty(this, "resizeSync", { value: undefined });
  }
}
