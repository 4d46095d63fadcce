import { IoVector } from "@img/io-vector";
import { syncStorage, writeStorage, type Io, type Storage } from "@img/format-core";
import type { FeatureBits } from "../header/features.ts";
import { headerLayout } from "../header/layout.ts";

/**
 * Changes single fields of a header in place. Fields that belong together are written at once; each is inside of the first sector, so
 * a power cut leaves the old or the new value.
 */
export class HeaderWriter {
  readonly #storage: Storage;
  readonly #giveUp: (error: unknown) => void;

  /** @param giveUp - called when nobody knows what the header says on disk: the image must not be written any more */
  constructor(storage: Storage, giveUp: (error: unknown) => void) {
    this.#storage = storage;
    this.#giveUp = giveUp;
  }

  /**
   * Makes a change that the tables in memory have to agree with. A change that fails may have reached the disk all the same, so what was there
   * is put back; `undo` is called when that is certain.
   */
  *change(apply: () => Io<void>, putBack: () => Io<void>, undo: () => void): Io<void> {
    try {
      yield* apply();
    } catch (error) {
      try {
        yield* putBack();
      } catch {
        this.#giveUp(error);
        throw error;
      }
      undo();
      throw error;
    }
  }

  *setL1Table(offset: number, length: number): Io<void> {
    const bytes = new DataView(new ArrayBuffer(12));
    bytes.setUint32(0, length);
    setUint64(bytes, 4, offset);
    yield* this.#write(bytes, headerLayout.l1Size);
  }

  /** Another disk in the image, with the size that it has. `cryptMethod` stands in between, and stays what it is. */
  *setDisk(
    disk: { readonly size: number; readonly l1Offset: number; readonly l1Size: number },
    cryptMethod: number,
  ): Io<void> {
    const bytes = new DataView(new ArrayBuffer(24));
    setUint64(bytes, 0, disk.size);
    bytes.setUint32(8, cryptMethod);
    bytes.setUint32(12, disk.l1Size);
    setUint64(bytes, 16, disk.l1Offset);
    yield* this.#write(bytes, headerLayout.size);
  }

  *setSnapshots(count: number, tableOffset: number): Io<void> {
    const bytes = new DataView(new ArrayBuffer(12));
    bytes.setUint32(0, count);
    setUint64(bytes, 4, tableOffset);
    yield* this.#write(bytes, headerLayout.snapshotCount);
  }

  *setRefcountTable(offset: number, clusters: number): Io<void> {
    const bytes = new DataView(new ArrayBuffer(12));
    setUint64(bytes, 0, offset);
    bytes.setUint32(8, clusters);
    yield* this.#write(bytes, headerLayout.refcountTableOffset);
  }

  *setSize(size: number): Io<void> {
    const bytes = new DataView(new ArrayBuffer(8));
    setUint64(bytes, 0, size);
    yield* this.#write(bytes, headerLayout.size);
  }

  /** All fields at once. */
  *setFirstSector(bytes: Uint8Array): Io<void> {
    yield* this.#write(new DataView(bytes.slice().buffer), 0);
  }

  *setIncompatibleFeatures(features: FeatureBits): Io<void> {
    yield* this.#write(featureBytes(features), headerLayout.incompatibleFeatures);
  }

  *setAutoclearFeatures(features: FeatureBits): Io<void> {
    yield* this.#write(featureBytes(features), headerLayout.autoclearFeatures);
  }

  /** Durable when it returns; so must be what the change relies on when it is called. */
  *#write(bytes: DataView, offset: number): Io<void> {
    yield* writeStorage(this.#storage, IoVector.from(new Uint8Array(bytes.buffer)), offset);
    yield* syncStorage(this.#storage);
  }
}

function featureBytes(features: FeatureBits): DataView {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setUint32(0, features.high);
  bytes.setUint32(4, features.low);
  return bytes;
}

function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value % 0x1_0000_0000);
}
