import { isSyncStorage, StorageDecorator, type MaybePromise, type Storage } from "@img/format-core";

/** A storage whose contents are left to the host to make durable whenever it likes: what QEMU's cache mode `unsafe` is. */
export class UnsyncedStorage extends StorageDecorator {
  // copying is like writing: nothing is made durable by it
  copyFrom(source: Storage, from: number, offset: number, length: number): MaybePromise<number> {
    return this.inner.copyFrom?.(source, from, offset, length) ?? 0;
  }

  copyFromSync(source: Storage, from: number, offset: number, length: number): number {
    return isSyncStorage(this.inner) ? (this.inner.copyFromSync?.(source, from, offset, length) ?? 0) : 0;
  }

  override sync(): void {
    // the caller said that it can do without
  }

  override syncSync(): void {
    // as above
  }
}
