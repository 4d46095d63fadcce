import { ImgError, MemoryStorage, StorageDecorator } from "@img/format-core";

/** A block device: it has a length, and can be asked to change it, which it refuses. Writes past its end fail. */
export class DeviceStorage extends StorageDecorator<MemoryStorage> {
  constructor(contents: Uint8Array) {
    super(new MemoryStorage(contents, { maxSize: contents.length, label: "device" }));
  }

  /** The same contents after it was closed. */
  reopened(): DeviceStorage {
    return new DeviceStorage(this.inner.toUint8Array());
  }

  override resize(size: number): void {
    this.resizeSync(size);
  }

  override resizeSync(size: number): void {
    if (size !== this.size) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.label}: a block device has a fixed length`);
    }
  }
}
