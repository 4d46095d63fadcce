import { StorageDecorator } from "@img/format-core";

/** A storage whose contents are left to the host to make durable whenever it likes: what QEMU's cache mode `unsafe` is. */
export class UnsyncedStorage extends StorageDecorator {
  override sync(): void {
    // the caller said that it can do without
  }

  override syncSync(): void {
    // as above
  }
}
